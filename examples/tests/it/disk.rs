//! Output folders that cannot take the results.

use std::fs;

use crate::pools;
use crate::program::{Gdig, finished};

#[test]
fn an_output_path_that_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let out = folder.path().join("out");
    fs::write(&out, "mine").unwrap();
    Gdig::new(&pool, &seeds, &out).refuse(&[out.to_str().unwrap()]);
    assert_eq!(fs::read(&out).unwrap(), b"mine");
}

#[test]
fn stage_folders_that_hold_something_else() {
    for stage in ["adaptation", "factors", "basis", "gradients"] {
        let folder = tempfile::tempdir().unwrap();
        let (pool, seeds) = pools::write_pairs(folder.path());
        let out = folder.path().join("out");
        let mine = out.join(stage).join("thesis.txt");
        fs::create_dir_all(out.join(stage)).unwrap();
        fs::write(&mine, "mine").unwrap();
        let gdig = Gdig::new(&pool, &seeds, &out);
        gdig.refuse(&[&format!("out/{stage}"), "thesis.txt"]);
        assert_eq!(fs::read(&mine).unwrap(), b"mine");
        fs::remove_file(&mine).unwrap();
        assert_eq!(gdig.succeed().result(), finished().result(), "{stage}");
    }
}

/// The folder for the adapted model is the program's own as well.
#[test]
fn another_model_where_the_adapted_one_would_go() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let out = folder.path().join("out");
    let mine = out.join("adapted/model.safetensors");
    fs::create_dir_all(out.join("adapted")).unwrap();
    fs::write(&mine, "mine").unwrap();
    let gdig = Gdig::new(&pool, &seeds, &out);
    let fault = gdig.fault(&["out/adapted"]);
    assert!(fs::read(&mine).unwrap() == b"mine", "a model that was there is gone");
    assert_eq!(fault, None);
}

#[cfg(target_os = "linux")]
pub(crate) mod full {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use crate::pools;
    use crate::program::{Gdig, finished};

    /// A small file system in memory; unmounted when dropped.
    pub(crate) struct SmallDisk(PathBuf);

    impl SmallDisk {
        pub(crate) fn mount(at: &Path) -> Option<Self> {
            let options = ["-t", "tmpfs", "-o", "size=64k", "tamis-test"];
            let done = Command::new("mount").args(options).arg(at).output().ok()?;
            done.status.success().then(|| Self(at.to_owned()))
        }

        pub(crate) fn resize(&self, size: &str) {
            let options = format!("remount,size={size}");
            let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
            assert!(status.unwrap().success());
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(&self.0).status();
        }
    }

    #[test]
    fn a_full_disk_stops_the_run_and_more_room_lets_it_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let (pool, seeds) = pools::write_pairs(folder.path());
        let at = folder.path().join("disk");
        std::fs::create_dir(&at).unwrap();
        let Some(disk) = SmallDisk::mount(&at) else {
            println!("skipped: mounting a tmpfs needs root");
            return;
        };
        let gdig = Gdig::new(&pool, &seeds, &at.join("out"));
        // Too small for the model; for the curvature; for the gradients; for the report.
        for (size, file) in [
            ("64k", "adapted"),
            ("200k", "factors"),
            ("300k", "basis"),
            ("428k", "gradients"),
            ("488k", "out/"),
        ] {
            disk.resize(size);
            gdig.refuse(&[file, "No space left on device"]);
        }
        disk.resize("4m");
        let run = gdig.succeed();
        assert!(run.resumed("adapt") && run.resumed("curvature"));
        assert_eq!(run.result(), finished().result());
    }
}
