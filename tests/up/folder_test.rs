//! The folder is a desired state: what others do to its objects is undone and told, and files are read as people have them.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use seatkeeper::api::{Plan, Subscription};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::running::{Desk, Up};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\ndata: {a: b}\n";

/// Changes the map as `kubectl patch` does.
async fn patch(maps: &Api<ConfigMap>, data: Value) {
    maps.patch("map", &PatchParams::default(), &Patch::Merge(json!({"data": data}))).await.expect("it is there");
}

async fn entry(maps: &Api<ConfigMap>, name: &str) -> Option<String> {
    maps.get("map").await.expect("it is there").data?.remove(name)
}

/// Waits for some looks at the folder, and for what is said in that time.
async fn some_looks(desk: &Desk, up: &mut Up) {
    tokio::time::sleep(Duration::from_secs(8)).await;
    desk.write("zz-last.yaml", MAP.replace("name: map", "name: last"));
    up.until(&["applied ConfigMap default/last"]);
}

/// They stayed as they were left, and nothing said so.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_delete_or_change_is_put_back_and_told_once() {
    let desk = Desk::with_example();
    desk.write("map.yaml", MAP);
    let mut up = desk.up("");
    up.until(&["License innoacd/innoacd  Activated"]);
    let client = desk.client().await;
    let contracts: Api<Subscription> = Api::namespaced(client.clone(), "innoacd");
    contracts.delete("stadtwerke", &DeleteParams::default()).await.expect("it is there");
    let back = "was deleted and is back, because it is in yaml/contract.yaml: to delete it, remove it there too";
    up.until(&["! Subscription innoacd/stadtwerke ", back]);
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    patch(&maps, json!({"a": "other"})).await;
    up.until(&["! ConfigMap default/map was changed and is again as yaml/map.yaml says: change it there"]);
    assert_eq!(entry(&maps, "a").await.as_deref(), Some("b"));
    // What the file says nothing of may be added.
    patch(&maps, json!({"c": "d"})).await;
    some_looks(&desk, &mut up).await;
    assert_eq!(entry(&maps, "c").await.as_deref(), Some("d"));
    assert_eq!((up.count("was changed"), up.count("was deleted")), (1, 1), "{}", up.said.join("\n"));
    up.interrupt();
}

/// A backup names UIDs and versions of another time, and brings a status.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_applied_as_it_is() {
    let desk = Desk::with_example();
    let mut up = desk.up("");
    up.until(&["License innoacd/innoacd  Activated"]);
    let mut items = Vec::new();
    for kind in [
        kube::api::ApiResource::erase::<Plan>(&()),
        kube::api::ApiResource::erase::<Subscription>(&()),
        kube::api::ApiResource::erase::<Secret>(&()),
    ] {
        let objects: Api<DynamicObject> = Api::namespaced_with(desk.client().await, "innoacd", &kind);
        for object in objects.list(&ListParams::default()).await.expect("they can be listed") {
            let mut object = serde_json::to_value(&object).expect("it is JSON");
            (object["apiVersion"], object["kind"]) = (json!(kind.api_version), json!(kind.kind));
            items.push(object);
        }
    }
    // As `kubectl get -o yaml --show-managed-fields` prints it: JSON is YAML.
    let backup = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    for part in ["\"uid\"", "\"resourceVersion\"", "\"managedFields\"", "\"status\""] {
        assert!(backup.contains(part), "{part}");
    }
    up.interrupt();
    let other = Desk::new();
    other.write("0.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: innoacd}\n").write("backup.yaml", &backup);
    // It has a signing key in it.
    std::fs::set_permissions(other.0.join("yaml/backup.yaml"), Permissions::from_mode(0o600)).expect("it is ours");
    let mut up = other.up("");
    up.until(&["License innoacd/innoacd  Activated: agents 50 for Stadtwerke Musterstadt"]);
    assert_eq!(up.count("! yaml/"), 0, "{}", up.said.join("\n"));
    // The operator goes on writing the Secrets that are its own.
    let changed = backup.replace(r#""seats":50"#, r#""seats":60"#);
    assert_ne!(changed, backup);
    other.write("backup.yaml", changed);
    up.until(&["License innoacd/innoacd  SeatsChanged: agents 50 → 60"]);
    some_looks(&other, &mut up).await;
    assert_eq!(up.count("as yaml/backup.yaml says"), 0, "{}", up.said.join("\n"));
    assert_eq!(up.count("RevocationsOutdated"), 0, "{}", up.said.join("\n"));
    up.interrupt();
}

/// The files took turns: each put its own seats back.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_in_two_files_is_put_back_as_the_first_says() {
    let desk = Desk::new();
    desk.write("b.yaml", MAP);
    let mut up = desk.up("");
    up.until(&["applied ConfigMap default/map"]);
    desk.write("a.yaml", MAP.replace("{a: b}", "{a: first}"));
    up.until(&["! yaml/b.yaml:", "is also in yaml/a.yaml, line 1, which counts: remove one of them"]);
    let maps: Api<ConfigMap> = Api::default_namespaced(desk.client().await);
    some_looks(&desk, &mut up).await;
    assert_eq!(entry(&maps, "a").await.as_deref(), Some("first"), "{}", up.said.join("\n"));
    assert_eq!(up.count("was changed"), 0, "{}", up.said.join("\n"));
    up.interrupt();
}

#[test]
fn several_json_objects_in_a_file_are_told_in_one_line() {
    let desk = Desk::new();
    let object =
        |name: &str| format!(r#"{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "{name}"}}}}"#);
    desk.write("two.json", format!("{}\n{}\n", object("one"), object("two")));
    let mut up = desk.up("");
    up.until(&["! yaml/two.json:2: a second JSON object begins here: put a line with --- between them"]);
    desk.write("two.json", format!("{}\n---\n{}\n", object("one"), object("two")));
    up.until_all(&[&["applied ConfigMap default/one"], &["applied ConfigMap default/two"]]);
    up.interrupt();
}
