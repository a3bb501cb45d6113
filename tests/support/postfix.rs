//! Debian's postfix, run from a temporary folder on a port of its own: STARTTLS, a login checked by Cyrus SASL, and a relay to
//! which it hands what it took. `cargo xtask test` unpacks it.

use std::env;
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use super::authority::Authority;
use super::{eventually, skip};

/// The services of postfix that this one needs.
const SERVICES: &str = "pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
";
/// A user of every system whom postfix may run as, by number: it may be neither root nor nobody.
const DAEMON: u32 = 1;

pub(crate) struct Postfix {
    folder: TempDir,
    port: u16,
}

impl Postfix {
    /// Takes mail for this login and hands it on to the relay; `None`: it cannot run here.
    pub(crate) fn start(user: &str, password: &str, relay: u16) -> Option<Self> {
        let root = Path::new(env!("CARGO_BIN_EXE_longshore")).ancestors().nth(2).unwrap().join("postfix");
        if !getuid().is_root() || !root.join("unpacked").exists() {
            skip("postfix needs root, and Debian's packages, which `cargo xtask test` unpacks");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Whoever listens on it next is postfix, in a moment.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let postfix = Self { folder, port };
        postfix.configure(&root, relay);
        postfix.add_login(&root, user, password);
        let started = postfix.command(&root, "postfix").args(["-c"]).arg(postfix.etc()).arg("start").status().unwrap();
        assert!(started.success(), "{}", postfix.log());
        eventually("postfix takes connections", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(postfix)
    }

    fn etc(&self) -> PathBuf {
        self.folder.path().join("etc")
    }

    fn configure(&self, root: &Path, relay: u16) {
        let (folder, root) = (self.folder.path().display(), root.display());
        for name in ["etc/sasl", "spool", "lib"] {
            fs::create_dir_all(self.folder.path().join(name)).unwrap();
        }
        chown(self.folder.path().join("lib"), Some(DAEMON), None).unwrap();
        Authority::new().issue(&self.etc(), 1);
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {folder}/spool\ndata_directory = {folder}/lib\n\
             command_directory = {root}/usr/sbin\ndaemon_directory = {root}/usr/lib/postfix/sbin\n\
             shlib_directory = {root}/usr/lib/postfix\nmeta_directory = {root}/etc/postfix\n\
             sendmail_path = {root}/usr/sbin/sendmail\nnewaliases_path = {root}/usr/sbin/sendmail\n\
             mailq_path = {root}/usr/sbin/sendmail\nmail_owner = daemon\nsetgid_group = games\n\
             myhostname = mail.test\nmydestination =\nlocal_recipient_maps =\nalias_maps =\nalias_database =\n\
             inet_interfaces = loopback-only\ninet_protocols = ipv4\n\
             import_environment = MAIL_CONFIG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH SASL_PATH\n\
             smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = cyrus\nsmtpd_sasl_local_domain = mail.test\n\
             smtpd_tls_security_level = encrypt\nsmtpd_tls_auth_only = yes\n\
             smtpd_tls_cert_file = {folder}/etc/cert.pem\nsmtpd_tls_key_file = {folder}/etc/key.pem\n\
             smtpd_relay_restrictions = permit_sasl_authenticated, reject\n\
             smtpd_sender_restrictions = reject_non_fqdn_sender\n\
             relayhost = [127.0.0.1]:{relay}\nmaillog_file = {folder}/log\nmaillog_file_prefixes = {folder}\n"
        );
        fs::write(self.etc().join("main.cf"), main).unwrap();
        fs::write(self.etc().join("master.cf"), format!("127.0.0.1:{} inet n - n - - smtpd\n{SERVICES}", self.port))
            .unwrap();
        let sasl = format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {folder}/etc/sasl/sasldb2\nmech_list: PLAIN LOGIN\n"
        );
        fs::write(self.etc().join("sasl/smtpd.conf"), sasl).unwrap();
    }

    fn add_login(&self, root: &Path, user: &str, password: &str) {
        let file = self.etc().join("sasl/sasldb2");
        let mut command = self.command(root, "saslpasswd2");
        command.args(["-c", "-p", "-u", "mail.test", "-f"]).arg(&file).arg(user).stdin(Stdio::piped());
        let mut adding = command.spawn().unwrap();
        adding.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        assert!(adding.wait().unwrap().success());
        chown(&file, Some(DAEMON), None).unwrap();
    }

    fn command(&self, root: &Path, program: &str) -> Command {
        let mut command = Command::new(root.join("usr/sbin").join(program));
        command.env("LD_LIBRARY_PATH", root.join("usr/lib/postfix"));
        let modules = format!("{}-linux-gnu/sasl2", env::consts::ARCH);
        command.env("SASL_PATH", root.join("usr/lib").join(modules)).stderr(Stdio::null());
        command
    }

    /// `[mail]` of a server that uses it, but for the login.
    pub(crate) fn config(&self) -> String {
        let (ca, port) = (self.etc().join("ca.pem"), self.port);
        format!("[mail]\nhost = 'localhost'\nport = {port}\nfrom = 'longshore@example.org'\nca = '{}'\n", ca.display())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.folder.path().join("spool/pid/master.pid")).unwrap_or_default();
        if let Some(master) = pid.trim().parse().ok().and_then(Pid::from_raw) {
            let _already_gone = kill_process(master, Signal::TERM);
        }
        if std::thread::panicking() {
            eprintln!("--- the log of postfix:\n{}", self.log());
        }
    }
}
