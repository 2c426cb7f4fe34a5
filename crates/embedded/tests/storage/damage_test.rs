//! A damaged database is refused with its path and what to do, and is not changed.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, PostParams};
use redb::ReadableDatabase;
use std::fs;
use std::path::{Path, PathBuf};

use seatkeeper_embedded::storage::{Change, Durable, Storage, StorageError};

use super::{DATABASE, Desk, Dice, WITNESS, child, durable, open};

const NUMBERS: redb::TableDefinition<&str, u64> = redb::TableDefinition::new("numbers");
const OBJECTS: redb::TableDefinition<&str, &[u8]> = redb::TableDefinition::new("objects");
/// The number of files with random damage.
const DAMAGED: u64 = 150;

/// Makes a folder with a database of some objects, closed cleanly.
fn with_objects(name: &str) -> (Desk, PathBuf) {
    let desk = Desk::new(name);
    drop(written(&desk));
    let path = desk.0.join(DATABASE);
    (desk, path)
}

/// Makes a folder with a database of some objects, as a kill leaves it.
fn killed_with_objects(name: &str) -> (Desk, PathBuf) {
    let (open, desk) = (Desk::new(name), Desk::new(name));
    let storage = written(&open);
    for file in [DATABASE, WITNESS] {
        fs::copy(open.0.join(file), desk.0.join(file)).unwrap();
    }
    drop(storage);
    let path = desk.0.join(DATABASE);
    (desk, path)
}

fn written(desk: &Desk) -> Durable {
    let storage = when_free(|| durable(&desk.0)).unwrap();
    for revision in 1..=20_u64 {
        let name = format!("object-{}", revision % 12);
        let (object, _) = child::object(&name, [1, 2, 3].map(|part| format!("{part}").repeat(revision as usize * 30)));
        let mut value = serde_json::to_value(object).unwrap();
        value["metadata"]["resourceVersion"] = revision.to_string().into();
        value["metadata"]["namespace"] = "default".into();
        let change = Change { key: format!("/configmaps/default/{name}"), value: Some(value.to_string().into()) };
        storage.commit(revision, &[change]).unwrap();
    }
    storage
}

/// Repeats `open` while the file is in use: another test may be starting a process just now, which holds our files open
/// until it runs its own program.
fn when_free<T>(open: impl Fn() -> Result<T, StorageError>) -> Result<T, StorageError> {
    loop {
        match open() {
            Err(StorageError::InUse(_)) => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

/// Checks that the database is refused with these words, the file's path and what to do, and that the file is not
/// changed.
fn expect_refusal(folder: &Path, says: &str) {
    let path = folder.join(DATABASE);
    let before = fs::read(&path).unwrap();
    let refused = when_free(|| open(folder)).map(drop).unwrap_err().to_string();
    for part in [path.to_str().unwrap(), says, "restore a copy of it, or move it away"] {
        assert!(refused.contains(part), "{part:?} is not in: {refused}");
    }
    assert!(fs::read(&path).unwrap() == before, "the file was changed: {refused}");
}

#[test]
fn a_file_that_is_not_a_database_is_refused_and_not_changed() {
    let (desk, path) = with_objects("no-database");
    let whole = fs::read(&path).unwrap();
    let half = whole[..whole.len() / 2].to_vec();
    let start = whole[..100].to_vec();
    let zeros = vec![0; whole.len()];
    let text = b"apiVersion: v1\nkind: Namespace\n".to_vec();
    for (content, says) in [
        (half, "is damaged"),
        (start, "is damaged"),
        (zeros, "is damaged"),
        (text, "is damaged"),
        (Vec::new(), "it is empty"),
    ] {
        fs::write(&path, content).unwrap();
        expect_refusal(&desk.0, says);
    }
}

#[test]
fn random_bytes_over_a_closed_database_are_found_or_change_nothing() {
    damage_at_random(with_objects("random"));
}

#[test]
fn random_bytes_over_what_a_kill_left_are_found_or_change_nothing() {
    damage_at_random(killed_with_objects("random-killed"));
}

fn damage_at_random((desk, path): (Desk, PathBuf)) {
    let whole = fs::read(&path).unwrap();
    let expected = when_free(|| durable(&desk.0)).unwrap().load().unwrap();
    assert_eq!(expected.objects.len(), 12);
    let written: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let mut dice = Dice(4_711);
    let mut refused = 0;
    for round in 0..DAMAGED {
        let mut bytes = whole.clone();
        // Flip one bit, or write a stretch of noise, in a used part: most of the file is unused.
        let at = written[dice.below(written.len() as u64) as usize];
        let length = if round % 4 < 2 { 1 } else { dice.below(9_000) as usize + 1 };
        for byte in bytes.iter_mut().skip(at).take(length) {
            *byte ^= 1 << dice.below(8);
        }
        fs::write(&path, &bytes).unwrap();
        match when_free(|| durable(&desk.0)).and_then(|storage| storage.load()) {
            Ok(found) => assert_eq!(found, expected, "round {round}: {length} bytes at {at}"),
            Err(_) => {
                refused += 1;
                expect_refusal(&desk.0, "is damaged");
            }
        }
    }
    println!("{refused} of {DAMAGED} damaged files were refused; the contents of the others were unchanged");
    assert!(refused > DAMAGED / 4, "only {refused} were refused");
}

/// The last commit is damaged: the library alone would silently go back to the one before.
#[test]
fn a_database_whose_last_commit_is_damaged_is_refused() {
    let (desk, path) = killed_with_objects("last-commit");
    let whole = fs::read(&path).unwrap();
    let witness = fs::read(desk.0.join(WITNESS)).unwrap();
    // Text that only that commit wrote.
    let (object, _) = child::object("object-8", [1, 2, 3].map(|part| format!("{part}").repeat(20 * 30)));
    let mark = object.data.unwrap().remove("a").unwrap_or_default();
    let mut marks = whole.windows(mark.len()).enumerate().filter(|(_, window)| *window == mark.as_bytes());
    let (at, _) = marks.next_back().expect("it is there");
    let mut bytes = whole.clone();
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    expect_refusal(&desk.0, "it ends with revision 19, but revision 20 was acknowledged");
    assert!(fs::read(desk.0.join(WITNESS)).unwrap() == witness);
    expect_refusal(&desk.0, desk.0.join(WITNESS).to_str().unwrap());
    // A user who removes the witness continues with the database as it is.
    fs::remove_file(desk.0.join(WITNESS)).unwrap();
    assert_eq!(when_free(|| durable(&desk.0)).unwrap().load().unwrap().revision, 19);
}

#[test]
fn an_older_copy_is_accepted_once_no_witness_says_that_more_was_acknowledged() {
    let (desk, path) = with_objects("older");
    let older = fs::read(&path).unwrap();
    let change = Change { key: "/configmaps/default/x".into(), value: None };
    when_free(|| durable(&desk.0)).unwrap().commit(21, &[change]).unwrap();
    fs::write(&path, older).unwrap();
    expect_refusal(
        &desk.0,
        "it ends with revision 20, but revision 21 was acknowledged; if this is an older copy, remove",
    );
    fs::remove_file(desk.0.join(WITNESS)).unwrap();
    assert_eq!(when_free(|| durable(&desk.0)).unwrap().load().unwrap().revision, 20);
    assert!(desk.0.join(WITNESS).exists());
    // One that is gone is not taken for a new installation, and a new one is not compared with the one that was moved away.
    fs::remove_file(&path).unwrap();
    let said = when_free(|| durable(&desk.0)).err().expect("the database is gone").to_string();
    assert!(said.contains("it is gone, and ") && said.contains("or remove that file too"), "{said}");
    fs::remove_file(desk.0.join(WITNESS)).unwrap();
    assert_eq!(when_free(|| durable(&desk.0)).unwrap().load().unwrap().revision, 0);
    assert_eq!(when_free(|| durable(&desk.0)).unwrap().load().unwrap().revision, 0);
}

#[test]
fn a_damaged_witness_is_named_and_not_changed() {
    let (desk, path) = with_objects("witness");
    let (witness, database) = (desk.0.join(WITNESS), fs::read(&path).unwrap());
    let whole = fs::read(&witness).unwrap();
    let flipped = |at: usize| whole.iter().enumerate().map(|(n, byte)| byte ^ u8::from(n == at)).collect::<Vec<u8>>();
    for bytes in [Vec::new(), whole[..8].to_vec(), flipped(0), flipped(15), [&whole[..], &[0]].concat()] {
        fs::write(&witness, &bytes).unwrap();
        let refused = when_free(|| durable(&desk.0)).map(drop).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{}: this file is damaged", witness.display())), "{refused}");
        assert!(refused.contains("remove this file to continue with the database as it is"), "{refused}");
        assert!(fs::read(&witness).unwrap() == bytes && fs::read(&path).unwrap() == database);
    }
    fs::remove_file(&witness).unwrap();
    assert_eq!(when_free(|| durable(&desk.0)).unwrap().load().unwrap().revision, 20);
}

#[test]
fn another_versions_database_is_refused() {
    let (desk, path) = with_objects("version");
    let database = redb::Database::open(&path).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(NUMBERS).unwrap().insert("format", 2).unwrap();
    write.commit().unwrap();
    drop(database);
    expect_refusal(&desk.0, "it was written by another version of this program");
}

#[test]
fn objects_that_are_not_ours_are_refused() {
    for (key, value, says) in [
        ("no kind at all", "{}", "no such kind"),
        ("/configmaps/default/x", "{\"metadata\": {\"name\":", "EOF"),
        ("/configmaps/default/x", "{\"metadata\": {\"name\": \"x\"}}", "it has no resourceVersion"),
    ] {
        let (desk, path) = with_objects("objects");
        when_free(|| durable(&desk.0))
            .unwrap()
            .commit(21, &[Change { key: key.into(), value: Some(value.into()) }])
            .unwrap();
        let before = fs::read(&path).unwrap();
        let refused = when_free(|| open(&desk.0)).map(drop).unwrap_err().to_string();
        for part in [says, key, "move it away"] {
            assert!(refused.contains(part), "{part:?} is not in: {refused}");
        }
        assert_eq!(fs::read(&path).unwrap().len(), before.len());
    }
}

#[test]
fn a_start_that_was_cut_off_before_there_was_a_database_is_repeated() {
    let desk = Desk::new("cut-off");
    fs::write(desk.0.join(format!("{DATABASE}.new")), "half a database").unwrap();
    let storage = when_free(|| durable(&desk.0)).unwrap();
    assert_eq!(storage.load().unwrap().objects, []);
    drop(storage);
    let names: Vec<_> = fs::read_dir(&desk.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{names:?}");
}

#[test]
fn what_was_written_is_read_by_the_next_process() {
    let (desk, path) = with_objects("again");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let written = runtime.block_on(async {
        let api = when_free(|| open(&desk.0)).unwrap();
        let objects: Api<ConfigMap> = Api::default_namespaced(api.client());
        assert_eq!(objects.list(&ListParams::default()).await.unwrap().items.len(), 12);
        let (object, _) = child::object("new", ["a", "b", "c"].map(String::from));
        let created = objects.create(&PostParams::default(), &object).await.unwrap();
        assert!(created.metadata.resource_version.as_ref().unwrap().parse::<u64>().unwrap() > 20);
        serde_json::to_value(created).unwrap()
    });
    drop(runtime);
    // The writer thread ends, and closes the file, when no handle is left.
    let database = (0..1_000).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        redb::Database::open(&path).ok()
    });
    let database = database.unwrap();
    let read = database.begin_read().unwrap();
    let stored = read.open_table(OBJECTS).unwrap().get("/configmaps/default/new").unwrap().unwrap().value().to_vec();
    let stored: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    assert_eq!((&stored["data"], &stored["metadata"]["uid"]), (&written["data"], &written["metadata"]["uid"]));
}
