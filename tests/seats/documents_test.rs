//! The commands in docs/seats.md, typed as they are written.

use std::path::Path;
use std::process::Command;

use super::ground::Ground;

#[test]
fn the_commands_of_the_guide_to_seats_work_as_written() {
    let ground = Ground::take();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/seats.md")).unwrap();
    let blocks: Vec<&str> = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 3, "{blocks:?}");
    // The guide uses the default port, folder and example; this test uses others, and runs each block in a separate
    // shell.
    std::os::unix::fs::symlink("data", ground.desk.0.join(".seatkeeper")).unwrap();
    let seatkeeper = Path::new(env!("CARGO_BIN_EXE_seatkeeper")).parent().unwrap().display().to_string();
    let path = format!("{seatkeeper}:{}", std::env::var("PATH").unwrap());
    let typed = blocks.concat().replace("127.0.0.1:6441", &ground.address).replace("innoacd/innoacd", "centre/innoacd");
    let typed = typed
        .replace("namespace=innoacd", "namespace=centre")
        .replace(r#""namespace": "innoacd""#, r#""namespace": "centre""#);
    let typed = typed.replace("sleep 60", "sleep 0.1").replace("seatkeeper up examples/innoacd", "true");
    let output = Command::new("bash")
        .args(["-euxo", "pipefail", "-c", &typed])
        .env("PATH", path)
        .env("SEATKEEPER_SERVER", format!("http://{}", ground.address))
        .current_dir(&ground.desk.0)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("ttlSeconds") && said.contains("\"holders\""), "{said}");
}
