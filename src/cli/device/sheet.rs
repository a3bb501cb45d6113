//! The sheet for whoever installs a recorder: one HTML file that needs nothing else, made to be printed.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use askama::Template as _;

use super::super::{Target, table};
use super::MOMENT;
use crate::http::operator::{IssueCodeBody, IssuedCode, paths};

#[derive(askama::Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Installer sheet for {{ serial }}</title>
<style>
  body { font: 16px/1.5 sans-serif; color: #000; background: #fff; max-width: 42em; margin: 2em auto; padding: 0 1em }
  h1 { font-size: 1.5em }
  dt { font-weight: bold; margin-top: 1em }
  dd { margin: 0; font: 1.25em/1.4 monospace; overflow-wrap: anywhere }
  .code { font-size: 1.6em; border: 2px solid #000; padding: .3em .5em; display: inline-block }
  @page { margin: 20mm }
</style>
<h1>Connecting {% if let Some(model) = model %}{{ model }} {% endif %}{{ serial }}</h1>
<dl>
  {%- if let Some(ssid) = ssid %}
  <dt>1. Wi-Fi network (SSID); its password is given to you separately</dt>
  <dd>{{ ssid }}</dd>
  {%- endif %}
  <dt>2. Server URL</dt>
  <dd>{{ server }}</dd>
  <dt>3. Code</dt>
  <dd class="code">{{ code }}</dd>
</dl>
<p>Type the code as it stands here; small letters and missing hyphens do not matter. It has no letters O, I, L and U: what
looks like one is a zero or a one. It works once, for this device only, until <strong>{{ expires }}</strong>. Then ask for a
new sheet.</p>
<p>The device then shows four letters. Tell them to the administrator, who completes the set-up:</p>
<p><code>longshore device approve {{ serial }} --assignee NAME</code></p>
<dl>
  <dt>Fingerprint of the server's key, if the device shows one to compare</dt>
  <dd>{{ fingerprint }}</dd>
</dl>
</html>
"#
)]
struct Sheet {
    serial: String,
    model: Option<String>,
    ssid: Option<String>,
    server: String,
    code: String,
    expires: String,
    fingerprint: String,
}

/// Asks for a code and writes the sheet with it.
pub(super) fn write(
    body: &IssueCodeBody,
    ssid: Option<String>,
    out: Option<&Path>,
    target: &Target,
) -> anyhow::Result<()> {
    let client = target.client()?;
    if target.json {
        return table::print_json(&client.post::<IssuedCode>(paths::CODES, body)?);
    }
    // Before there is a code: a file that is in the way should not cost one.
    if let Some(path) = out.filter(|path| path.exists()) {
        bail!("{} is there already; name another file", path.display());
    }
    let issued: IssuedCode = client.post(paths::CODES, body)?;
    let sheet = Sheet {
        serial: body.serial.clone(),
        model: issued.token.model,
        ssid,
        server: issued.server,
        code: issued.code,
        expires: issued.token.expires.format(MOMENT).to_string(),
        fingerprint: issued.fingerprint,
    };
    let page = sheet.render()?;
    let Some(path) = out else { return Ok(io::stdout().lock().write_all(page.as_bytes())?) };
    // Whoever reads it could enrol in the device's place.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(page.as_bytes()))
        .with_context(|| format!("{} cannot be written; ask for another sheet", path.display()))
}
