//! nginx with its DAV module, as a server that takes files and nothing else: it neither hashes nor calls fsync.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::super::bay::{Dialect, Target};
use super::super::cores::Cores;
use super::super::process::Process;
use super::certificate::Certificate;
use super::{free_port, installed, launch, up};

pub(super) async fn start(folder: &Path, cores: Cores) -> anyhow::Result<(Process, Target)> {
    let (program, address) = (installed("nginx/usr/sbin/nginx")?, free_port()?);
    let certificate = Certificate::write(folder)?;
    fs::create_dir(folder.join("received"))?;
    let config = folder.join("nginx.conf");
    fs::write(&config, configuration(folder, address, &certificate))?;
    let mut command = Command::new(program);
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(config);
    up(launch(&mut command, folder, cores)?, address, Dialect::Put).await
}

fn configuration(folder: &Path, address: SocketAddr, certificate: &Certificate) -> String {
    let folder = folder.display();
    let (certificate, key) = (certificate.certificate.display(), certificate.key.display());
    // A worker of root's is somebody else by default, who may not write here.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}
daemon off;
worker_processes 1;
pid '{folder}/nginx.pid';
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_max_body_size 0;
    # In the same file system as what is received: then a file is only renamed.
    client_body_temp_path '{folder}/body';
    client_body_buffer_size 1m;
    proxy_temp_path '{folder}/proxy';
    fastcgi_temp_path '{folder}/fastcgi';
    uwsgi_temp_path '{folder}/uwsgi';
    scgi_temp_path '{folder}/scgi';
    server {{
        listen {address} ssl;
        ssl_certificate '{certificate}';
        ssl_certificate_key '{key}';
        ssl_protocols TLSv1.3;
        root '{folder}/received';
        location / {{ dav_methods PUT; }}
    }}
}}
"
    )
}
