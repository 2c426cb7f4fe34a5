//! The packer, given a program that is only a few bytes.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::read::GzDecoder;
use serde_json::Value;

const PROGRAM: &[u8] = b"not really a program";
const CREATED: &str = "1785542400";

fn packed(name: &str, created: &str) -> (Output, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (program, out) = (folder.join(format!("{name}.program")), folder.join(format!("{name}.tar")));
    std::fs::write(&program, PROGRAM).expect("a file of the test's own");
    let said = Command::new(env!("CARGO_BIN_EXE_seatkeeper-image"))
        .args([&program, &out])
        .args(["--name", "example.org/seatkeeper", "--tag", "1.2.3", "--revision", "abc", "--architecture", "amd64"])
        .env("SOURCE_DATE_EPOCH", created)
        .output();
    (said.expect("the packer starts"), out)
}

/// A file of the image: owner, group, mode and time, and its contents.
type File = (Vec<u64>, Vec<u8>);

/// The files in a tar file, by path.
fn files(tar: impl Read) -> BTreeMap<String, File> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().expect("a tar file") {
        let mut entry = entry.expect("an entry");
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).expect("its contents");
        let header = entry.header();
        let path = entry.path().expect("a path").display().to_string();
        let of = [header.uid(), header.gid(), header.mode().map(u64::from), header.mtime()];
        files.insert(path, (of.map(|number| number.expect("a number")).to_vec(), contents));
    }
    files
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

/// Returns the image's config, and the files of its one layer.
fn opened(image: &Path) -> (Value, BTreeMap<String, File>) {
    let all = files(std::fs::File::open(image).expect("the image"));
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().expect("a digest");
        all[&format!("blobs/{}", digest.replace(':', "/"))].1.clone()
    };
    let manifest = json(&blob(&json(&all["index.json"].1)["manifests"][0]));
    let layer = blob(&manifest["layers"][0]);
    (json(&blob(&manifest["config"])), files(GzDecoder::new(layer.as_slice())))
}

#[test]
fn packing_twice_makes_the_same_bytes_and_the_time_is_the_one_that_is_given() {
    let (first, one) = packed("first", CREATED);
    let (second, two) = packed("second", CREATED);
    let (_, later) = packed("later", "1785542401");
    let read = |path: &Path| std::fs::read(path).expect("the image");
    assert!(first.status.success(), "{first:?}");
    assert_eq!(read(&one), read(&two));
    assert_eq!(first.stdout, second.stdout, "the digest that it prints");
    assert_ne!(read(&one), read(&later));
    assert_eq!(opened(&one).0["created"], "2026-08-01T00:00:00Z");
}

#[test]
fn it_runs_as_nobody_who_owns_or_may_write_a_file() {
    let (config, files) = opened(&packed("files", CREATED).1);
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/seatkeeper"]));
    for (path, (of, _)) in &files {
        let [owner, group, mode, modified] = of[..] else { panic!("{of:?}") };
        assert_eq!((owner, group, mode & 0o7222, modified), (0, 0, 0, CREATED.parse().expect("a number")), "{path}");
    }
    let all: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected = [
        "etc/",
        "etc/group",
        "etc/passwd",
        "etc/ssl/",
        "etc/ssl/certs/",
        "etc/ssl/certs/ca-certificates.crt",
        "seatkeeper",
    ];
    assert_eq!(all, expected);
    assert_eq!(files["seatkeeper"].1, PROGRAM);
}

#[test]
fn its_certificate_authorities_are_those_of_the_crate() {
    let (_, files) = opened(&packed("authorities", CREATED).1);
    let pem = String::from_utf8(files["etc/ssl/certs/ca-certificates.crt"].1.clone()).expect("PEM is text");
    let read: Vec<Vec<u8>> = pem
        .split("-----BEGIN CERTIFICATE-----\n")
        .skip(1)
        .map(|one| one.split("-----END").next().expect("an end").replace('\n', ""))
        .map(|text| BASE64_STANDARD.decode(text).expect("base64"))
        .collect();
    assert!(read.len() >= 100, "{}", read.len());
    let of_crate: Vec<&[u8]> = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(AsRef::as_ref).collect();
    assert_eq!(read, of_crate);
}

#[test]
fn what_cannot_be_packed_is_said() {
    let (said, _) = packed("when", "yesterday");
    assert!(!said.status.success() && String::from_utf8_lossy(&said.stderr).contains("yesterday"), "{said:?}");
}

/// `helm install` asks for what `make image` makes: its name is read from the chart, its version is the chart's.
#[test]
fn the_chart_names_the_version_that_is_built() {
    let chart = include_str!("../../../../charts/seatkeeper/Chart.yaml");
    for field in ["version", "appVersion"] {
        let line = format!("{field}: {}", env!("CARGO_PKG_VERSION"));
        assert!(chart.lines().any(|it| it == line), "charts/seatkeeper/Chart.yaml needs {line}");
    }
}
