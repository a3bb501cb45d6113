//! What the guest is made of: a kernel, and a file system in memory with the server in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{files_below, skip};

/// What `cargo xtask` has unpacked, in cargo's folder for what is built.
const UNPACKED: &str = "guest";
/// In the order in which the kernel takes them.
const MODULES: [&str; 9] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
];
const FOLDERS: [&str; 8] = ["bin", "data", "dev", "modules", "proc", "storage", "sys", "tmp"];

pub(super) struct Parts {
    pub(super) kernel: PathBuf,
    pub(super) initramfs: PathBuf,
    /// As QEMU names it.
    pub(super) accelerator: &'static str,
}

impl Parts {
    /// `None`, and why, where no guest can be run.
    pub(super) fn gather(folder: &Path) -> Option<Self> {
        if !cfg!(target_arch = "x86_64") {
            skip("the guest is an x86_64 machine");
            return None;
        }
        if Command::new("qemu-system-x86_64").arg("--version").stdout(Stdio::null()).status().is_err() {
            skip("there is no qemu-system-x86_64: `cargo xtask test` installs it");
            return None;
        }
        let unpacked = target().join(UNPACKED);
        let Some(kernel) = find(&unpacked.join("boot"), "vmlinuz-") else {
            skip(&format!("there is no kernel in {}: `cargo xtask test` puts Debian's there", unpacked.display()));
            return None;
        };
        let initramfs = folder.join("initramfs");
        make_initramfs(&unpacked, &folder.join("root"), &initramfs);
        Some(Self { kernel, initramfs, accelerator: accelerator() })
    }
}

/// Where cargo builds: the server's binary is in a folder of it.
fn target() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_longshore")).ancestors().nth(2).unwrap().to_owned()
}

fn find(folder: &Path, beginning: &str) -> Option<PathBuf> {
    let mut paths = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    paths.find(|path| path.file_name().unwrap().as_encoded_bytes().starts_with(beginning.as_bytes()))
}

/// KVM where the processor has what it needs; there are machines with a `/dev/kvm` on which no guest runs.
fn accelerator() -> &'static str {
    let may = fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap();
    let can = processor.split_whitespace().any(|flag| matches!(flag, "vmx" | "svm"));
    if may && can { "kvm" } else { "tcg,thread=multi" }
}

fn make_initramfs(unpacked: &Path, root: &Path, initramfs: &Path) {
    for name in FOLDERS {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    let busybox = unpacked.join("bin/busybox");
    fs::copy(&busybox, root.join("bin/busybox")).unwrap();
    let init = root.join("init");
    fs::write(&init, include_str!("init.sh")).unwrap();
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).unwrap();
    let modules = files_below(&unpacked.join("lib/modules"));
    for (number, name) in MODULES.iter().enumerate() {
        let file = format!("{name}.ko");
        let found = modules.iter().find(|path| path.file_name().unwrap() == file.as_str());
        fs::copy(found.unwrap_or_else(|| panic!("no {file}")), root.join(format!("modules/{number}-{file}"))).unwrap();
    }
    let server = env!("CARGO_BIN_EXE_longshore");
    // What a debugger wants is three quarters of it.
    let stripped = Command::new("strip").arg("-o").arg(root.join("bin/longshore")).arg(server).status();
    assert!(stripped.unwrap().success());
    let libraries = Command::new("ldd").arg(server).output().unwrap();
    for path in String::from_utf8(libraries.stdout).unwrap().split_whitespace().filter(|word| word.starts_with('/')) {
        let copy = root.join(&path[1..]);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(path, copy).unwrap();
    }
    let pack = format!("find . | {} cpio -o -H newc", busybox.display());
    let image = fs::File::create_new(initramfs).unwrap();
    let packed = Command::new("sh").args(["-c", &pack]).current_dir(root).stdout(image).stderr(Stdio::null()).status();
    assert!(packed.unwrap().success());
}
