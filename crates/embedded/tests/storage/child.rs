//! The process that is killed: it opens a folder, prints what it found there, and writes objects until it is killed.
//! It prints each write before it sends it, and the acknowledgement after the reply.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use seatkeeper_embedded::storage::{Change, Storage};

use super::{Dice, durable, open};

/// The variable that is set for the process that is killed: the folder, and the seed of what it does.
pub const FOLDER: &str = "EMBEDDED_STORAGE_CHILD";
pub const SEED: &str = "EMBEDDED_STORAGE_SEED";
/// The variable that is also set if it writes to the storage directly, without the API, which takes most of a start.
pub const BARE: &str = "EMBEDDED_STORAGE_BARE";
/// The number of objects that a bare commit writes, all of them each time.
const TOGETHER: u64 = 4;
/// The number of tasks that write at the same time.
const TASKS: u64 = 6;
/// The number of objects of each task.
const KEYS: u64 = 3;
/// The number of objects that are deleted with their owner.
pub const DEPENDENTS: u64 = 3;
/// The object with which all tasks count.
pub const COUNTER: &str = "counter";

/// Writes until the process is killed, or a write is refused.
pub fn run(folder: &Path, seed: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let api = open(folder).unwrap();
        let objects: Api<ConfigMap> = Api::default_namespaced(api.client());
        let found = objects.list(&ListParams::default()).await.unwrap();
        // The test harness has already begun a line.
        say(&format!("\nopen {}", found.metadata.resource_version.unwrap_or_default()));
        found.items.iter().for_each(|object| say(&format!("has {}", state(object))));
        say("ready");
        let here: BTreeSet<String> = found.items.iter().map(ResourceExt::name_any).collect();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let dice = Dice(seed.wrapping_mul(TASKS).wrapping_add(task));
                let here = here.iter().filter(|name| name.starts_with(&format!("t{task}-"))).cloned().collect();
                tokio::spawn(Writer { objects: objects.clone(), task, dice, here }.write())
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Like `run`, but on the storage alone: each commit writes all of its objects again, or deletes them all.
pub fn run_bare(folder: &Path, seed: u64) {
    let (storage, mut dice) = (durable(folder).unwrap(), Dice(seed));
    let contents = storage.load().unwrap();
    say(&format!("\nopen {}", contents.revision));
    for (_, value) in &contents.objects {
        say(&format!("has {}", state(&serde_json::from_slice(value).unwrap())));
    }
    say("ready");
    let mut there = !contents.objects.is_empty();
    for revision in contents.revision + 1.. {
        there = !there || dice.below(6) != 0;
        let parts = dice.parts();
        let made = (0..TOGETHER).map(|number| {
            let name = format!("bare-{number}");
            let (object, sum) = object(&name, parts.clone().map(|part| format!("{number}{part}")));
            let mut value = serde_json::to_value(object).unwrap();
            value["metadata"]["resourceVersion"] = revision.to_string().into();
            let (value, sum) = if there { (Some(value.to_string().into()), sum) } else { (None, "gone".to_owned()) };
            (format!("{name} {{}} {sum}"), Change { key: name, value })
        });
        let (lines, changes): (Vec<String>, Vec<Change>) = made.unzip();
        lines.iter().for_each(|line| say(&format!("try {}", line.replace("{} ", ""))));
        storage.commit(revision, &changes).unwrap();
        lines.iter().for_each(|line| say(&format!("did {}", line.replace("{}", &revision.to_string()))));
    }
}

impl Dice {
    /// Returns parts that are mostly small, and sometimes span several pages of the database.
    fn parts(&mut self) -> [String; 3] {
        let longest = if self.below(10) == 0 { 6_000 } else { 60 };
        [(); 3].map(|()| {
            let (letter, length) = (b'a' + self.below(26) as u8, self.below(longest));
            format!("{}{}", self.below(1_000_000), char::from(letter).to_string().repeat(length as usize))
        })
    }
}

pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Returns `NAME VERSION SUM`. The sum is `torn` if the object's parts do not belong together; the counter's is its
/// number.
pub fn state(object: &ConfigMap) -> String {
    let data = object.data.clone().unwrap_or_default();
    let part = |name: &str| data.get(name).cloned().unwrap_or_default();
    if let Some(number) = data.get("number") {
        return format!("{} {} {number}", object.name_any(), object.resource_version().unwrap_or_default());
    }
    let whole = sum(&[&part("a"), &part("b"), &part("c")]);
    let label = object.labels().get("sum").cloned().unwrap_or_default();
    let sum = if whole == part("sum") && whole == label { whole } else { "torn".to_owned() };
    format!("{} {} {sum}", object.name_any(), object.resource_version().unwrap_or_default())
}

fn sum(parts: &[&str]) -> String {
    Sha256::digest(parts.join("|")).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns an object of three parts, and its sum.
pub fn object(name: &str, parts: [String; 3]) -> (ConfigMap, String) {
    let sum = sum(&[&parts[0], &parts[1], &parts[2]]);
    let [a, b, c] = parts;
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"sum": sum}},
        "data": {"a": a, "b": b, "c": c, "sum": sum},
    });
    (serde_json::from_value(object).unwrap(), sum)
}

struct Writer {
    objects: Api<ConfigMap>,
    task: u64,
    dice: Dice,
    /// The names of its objects that exist.
    here: BTreeSet<String>,
}

impl Writer {
    async fn write(mut self) {
        loop {
            match self.dice.below(8) {
                0 => self.count().await,
                1 => self.family().await,
                _ => self.one().await,
            }
        }
    }

    /// Writes an object that no other task writes: the state acknowledged last must be there.
    async fn one(&mut self) {
        let name = format!("t{}-{}", self.task, self.dice.below(KEYS));
        if !self.here.contains(&name) {
            return self.create(&name, None).await;
        }
        let (mut object, sum) = self.object(&name);
        let way = self.dice.below(4);
        if way == 0 {
            return self.delete(&name).await;
        }
        say(&format!("try {name} {sum}"));
        let post = PostParams::default();
        let written = match way {
            1 => {
                object.metadata.resource_version = self.objects.get(&name).await.unwrap().resource_version();
                self.objects.replace(&name, &post, &object).await
            }
            2 => self.objects.patch(&name, &PatchParams::default(), &Patch::Merge(&object)).await,
            _ => self.objects.patch(&name, &PatchParams::apply("writer").force(), &Patch::Apply(&object)).await,
        };
        say(&format!("did {}", state(&written.unwrap())));
    }

    /// Adds to the number that all tasks share, at the version that was read: no two may get the same number.
    async fn count(&mut self) {
        let number = |object: &ConfigMap| -> u64 { object.data.as_ref().unwrap()["number"].parse().unwrap() };
        let mut object = match self.objects.get_opt(COUNTER).await.unwrap() {
            Some(object) => object,
            None => serde_json::from_value(json!({"metadata": {"name": COUNTER}, "data": {"number": "0"}})).unwrap(),
        };
        object.data = Some(BTreeMap::from([("number".to_owned(), (number(&object) + 1).to_string())]));
        let post = PostParams::default();
        let written = match object.metadata.resource_version {
            Some(_) => self.objects.replace(COUNTER, &post, &object).await,
            None => self.objects.create(&post, &object).await,
        };
        match written {
            Ok(object) => say(&format!("count {}", number(&object))),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Writes an owner and its dependents, or deletes them in one commit.
    async fn family(&mut self) {
        let owner = format!("t{}-owner", self.task);
        if self.here.contains(&owner) {
            return self.delete(&owner).await;
        }
        self.create(&owner, None).await;
        let uid = self.objects.get(&owner).await.unwrap().uid().unwrap();
        for number in 0..DEPENDENTS {
            self.create(&format!("{owner}-{number}"), Some((&owner, &uid))).await;
        }
    }

    async fn create(&mut self, name: &str, owner: Option<(&str, &str)>) {
        let (mut object, sum) = self.object(name);
        object.metadata.owner_references = owner.map(|(name, uid)| {
            let reference = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid}]);
            serde_json::from_value(reference).unwrap()
        });
        say(&format!("try {name} {sum}"));
        let created = self.objects.create(&PostParams::default(), &object).await.unwrap();
        say(&format!("did {}", state(&created)));
        self.here.insert(name.to_owned());
    }

    async fn delete(&mut self, name: &str) {
        say(&format!("try {name} gone"));
        let _ = self.objects.delete(name, &DeleteParams::background()).await.unwrap();
        say(&format!("did {name} 0 gone"));
        self.here.retain(|there| !there.starts_with(name));
    }

    fn object(&mut self, name: &str) -> (ConfigMap, String) {
        object(name, self.dice.parts())
    }
}
