//! The image as one file. It is an OCI layout, which containerd, Podman and skopeo read, and has a `manifest.json` beside it,
//! which `docker load` and crane read.

use std::collections::BTreeMap;
use std::io::{self, Write};

use chrono::SecondsFormat;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::Builder;

use super::layer::{self, PROGRAM, USER};
use super::options::Options;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A packed image.
pub struct Image {
    pub file: Vec<u8>,
    /// The digest by which registries and nodes know it: of the manifest.
    pub digest: String,
}

/// The files of the layout, by path.
#[derive(Default)]
struct Layout(BTreeMap<String, Vec<u8>>);

/// Returns the image whose one layer is `tar`.
pub fn of(options: &Options, tar: &[u8]) -> io::Result<Image> {
    let mut layout = Layout::default();
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(tar)?;
    let layer = layout.blob(LAYER, gzip.finish()?);
    let config = layout.blob(CONFIG, config(options, &digest(tar)).to_string().into());
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    let mut manifest = layout.blob(MANIFEST, manifest.to_string().into());
    let digest = text(&manifest["digest"]);

    let full_name = format!("{}:{}", options.name, options.tag);
    manifest["platform"] = json!({"architecture": options.architecture, "os": "linux"});
    manifest["annotations"] =
        json!({"io.containerd.image.name": full_name, "org.opencontainers.image.ref.name": options.tag});
    layout.file("index.json", json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]}));
    layout.file("oci-layout", json!({"imageLayoutVersion": "1.0.0"}));
    let of_docker = json!({"Config": path(&config), "RepoTags": [full_name], "Layers": [path(&layer)]});
    layout.file("manifest.json", json!([of_docker]));
    Ok(Image { file: layout.tar(options.created.timestamp() as u64)?, digest })
}

/// Returns how the image is run, and what it says of itself.
fn config(options: &Options, layer: &str) -> Value {
    let created = options.created.to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({
        "created": created,
        "architecture": options.architecture,
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Env": ["PATH=/"],
            "Entrypoint": [format!("/{PROGRAM}")],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.created": created,
                "org.opencontainers.image.description": "A Kubernetes operator that keeps software licences",
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.revision": options.revision,
                "org.opencontainers.image.title": "seatkeeper",
                "org.opencontainers.image.version": options.tag,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created": created, "created_by": "make image"}],
    })
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Returns the path of the blob that a descriptor is of.
fn path(descriptor: &Value) -> String {
    format!("blobs/{}", text(&descriptor["digest"]).replace(':', "/"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Layout {
    /// Adds a blob, and returns its descriptor.
    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let descriptor = json!({"mediaType": media_type, "digest": digest(&bytes), "size": bytes.len()});
        self.0.insert(path(&descriptor), bytes);
        descriptor
    }

    fn file(&mut self, name: &str, contents: Value) {
        self.0.insert(name.to_owned(), contents.to_string().into());
    }

    fn tar(self, modified: u64) -> io::Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        for (path, bytes) in &self.0 {
            tar.append(&layer::header(path, bytes.len(), 0o644, modified)?, bytes.as_slice())?;
        }
        tar.into_inner()
    }
}
