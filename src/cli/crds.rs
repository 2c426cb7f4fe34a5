//! `seatkeeper crds`: the CustomResourceDefinitions.

use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::api::crds::{all, file_name, to_yaml};

/// Prints the CustomResourceDefinitions, or writes them to files.
#[derive(Args)]
pub struct Arguments {
    /// Write one file for each CRD into this folder instead.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write them as Helm templates into this folder too: kept when the release is uninstalled.
    #[arg(long, value_name = "DIR")]
    chart: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(folder) = &arguments.out {
        write_each(folder, all())?;
    }
    if let Some(folder) = &arguments.chart {
        let keep = |mut crd: Value| {
            crd["metadata"]["annotations"] = serde_json::json!({"helm.sh/resource-policy": "keep"});
            crd
        };
        write_each(folder, all().into_iter().map(keep).collect())?;
    }
    if arguments.out.is_none() && arguments.chart.is_none() {
        print!("{}", all().iter().map(|crd| format!("---\n{}", to_yaml(crd))).collect::<String>());
    }
    Ok(())
}

fn write_each(folder: &Path, crds: Vec<Value>) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|e| Failure::new(format!("{}: {e}", folder.display())))?;
    for crd in crds {
        let path = folder.join(file_name(&crd));
        std::fs::write(&path, to_yaml(&crd)).map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
    }
    Ok(())
}
