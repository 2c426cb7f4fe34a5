//! Packs a static program as a container image without Docker. `build.sh` beside this crate calls it.
//!
//! The same program and options give the same bytes, on any machine: what compresses and what trusts is in Cargo.lock.

mod layer;
mod layout;
mod options;

use std::process::ExitCode;

use clap::Parser;

use options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    match pack(&options) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("seatkeeper-image: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the image, and returns its name, digest and size.
fn pack(options: &Options) -> Result<String, String> {
    let program = std::fs::read(&options.program).map_err(|e| format!("{}: {e}", options.program.display()))?;
    let tar = layer::tar(&program, options.created).map_err(|e| format!("the layer: {e}"))?;
    let image = layout::of(options, &tar).map_err(|e| format!("the image: {e}"))?;
    std::fs::write(&options.out, &image.file).map_err(|e| format!("{}: {e}", options.out.display()))?;
    Ok(format!("{}:{} {} {} bytes", options.name, options.tag, image.digest, image.file.len()))
}
