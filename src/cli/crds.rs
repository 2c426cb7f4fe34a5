//! `seatkeeper crds`: the CustomResourceDefinitions.

use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::output::say;
use crate::api::crds::{all, file_name, to_yaml};

/// Prints the CustomResourceDefinitions, or writes them to files.
#[derive(Args)]
pub struct Arguments {
    /// Write one file for each CRD into this folder instead.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also write them as Helm templates into this folder: kept when the release is uninstalled, and left out if the
    /// value crds.enabled is false.
    #[arg(long, value_name = "DIR")]
    chart: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(folder) = &arguments.out {
        write_each(folder, all(), to_yaml)?;
    }
    if let Some(folder) = &arguments.chart {
        write_each(folder, all(), to_template)?;
    }
    if arguments.out.is_none() && arguments.chart.is_none() {
        say(&all().iter().map(|crd| format!("---\n{}", to_yaml(crd))).collect::<String>())?;
    }
    Ok(())
}

/// One CRD as a Helm template. Text in it that would open a template action is escaped.
fn to_template(crd: &Value) -> String {
    let mut crd = crd.clone();
    crd["metadata"]["annotations"] = serde_json::json!({"helm.sh/resource-policy": "keep"});
    let yaml = to_yaml(&crd).replace("{{", r#"{{ "{{" }}"#);
    ["{{- if .Values.crds.enabled }}\n", &yaml, "{{- end }}\n"].concat()
}

fn write_each(folder: &Path, crds: Vec<Value>, written: fn(&Value) -> String) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|e| Failure::new(format!("{}: {e}", folder.display())))?;
    for crd in crds {
        let path = folder.join(file_name(&crd));
        std::fs::write(&path, written(&crd)).map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
    }
    Ok(())
}
