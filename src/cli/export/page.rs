//! The page that goes with an export: for people who have nothing but a browser.

use std::io;

use askama::Template as _;
use indicatif::{DecimalBytes, HumanCount};
use longshore_model::Recording;
use longshore_store::export::PageOf;

use super::super::device::MOMENT;

#[derive(askama::Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Export {{ export }}</title>
<style>
  :root { color-scheme: light dark }
  body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
  h1 { font-size: 1.5em } h2 { font-size: 1.2em; margin-top: 2em }
  code, td.sum { font-family: monospace; overflow-wrap: anywhere }
  table { border-collapse: collapse; width: 100% }
  th, td { text-align: left; vertical-align: top; padding: .3em .6em .3em 0; border-bottom: 1px solid #888 }
  .wide { overflow-x: auto }
  .key { border: 1px solid #888; padding: .5em 1em }
</style>
<h1>{{ count }} recordings, given out {{ at }}</h1>
<p>This folder was given to <strong>{{ by }}</strong> by a Longshore server. It holds recordings as they came from the cameras,
byte for byte, and what is needed to prove that nobody changed them since.</p>
<dl class="key">
  <dt>Export</dt><dd><code>{{ export }}</code></dd>
  <dt>Server (fingerprint of its key)</dt><dd><code>{{ server }}</code></dd>
</dl>

<h2>How to check it</h2>
<ol>
  <li>With Longshore on any computer, and without any network:
    <br><code>longshore verify export FOLDER --fingerprint {{ server }}</code>
    <br>Ask the agency for the fingerprint, and do not take it from this page: whoever can change the page can change that too.
    It stands in every daily mail of the server.</li>
  <li>Without Longshore, the bytes at least: in this folder, <code>sha256sum -c files.sha256</code> on Linux and macOS compares
    every file with the checksum that it had when it was given out.</li>
  <li>Compare the checkpoints below with the same ones in the mailbox of somebody who gets the server's daily mails. If they are
    the same, nobody rewrote the server's journal since.</li>
</ol>

<h2>What that proves</h2>
<ul>
  <li>Each video is, byte for byte, the one for which the server signed a receipt when it had received and verified it. Where
    the table says &ldquo;by the camera&rdquo;, the camera had told the same checksum before the transfer.</li>
  <li>The custody log (<code>custody-log.txt</code>) has the lines about these recordings as they stand in the server's journal, in
    their order, unchanged since the checkpoints were signed. Of the lines between, which are about other things, it has but a
    checksum.</li>
</ul>
<p>It does not prove what happened before the recordings came to the server, that the camera's clock was right, or that no other
line of the journal is about them: for that, the server's own journal has to be looked at.</p>

<h2>Recordings</h2>
<div class="wide">
<table>
  <thead><tr><th>File</th><th>Camera's time</th><th>Device</th><th>Bytes</th><th>SHA-256</th><th>Attested</th></tr></thead>
  <tbody>
  {%- for recording in recordings %}
  <tr>
    <td>recordings/{{ recording.path }}</td>
    <td>{{ recording.start }}{% if recording.clock_unset %} (its clock was not set){% endif %}</td>
    <td>{{ recording.serial }}{% if let Some(assignee) = recording.assignee %}, {{ assignee }}{% endif %}</td>
    <td>{{ recording.size }}</td>
    <td class="sum">{{ recording.sha256 }}</td>
    <td>{% if recording.attested %}by the camera{% else %}by the server alone{% endif %}</td>
  </tr>
  {%- endfor %}
  </tbody>
</table>
</div>
<p>{{ bytes }} in all.</p>

<h2>Checkpoints</h2>
{%- for checkpoint in checkpoints %}
<p>Up to line {{ checkpoint.position }} of the journal, signed {{ checkpoint.at.format(MOMENT) }}:
  <br><code>{{ checkpoint.signed }}</code></p>
{%- endfor %}

<h2>Files</h2>
<div class="wide">
<table>
  <thead><tr><th>File</th><th>SHA-256</th></tr></thead>
  <tbody>
  {%- for (path, sha256) in files %}
  <tr><td>{{ path }}</td><td class="sum">{{ sha256 }}</td></tr>
  {%- endfor %}
  </tbody>
</table>
</div>
<p>The checksum of this page stands in <code>files.sha256</code>, and the server's signature over that list in
<code>export.jws</code>.</p>
</html>
"#
)]
struct Page<'a> {
    export: String,
    server: &'a str,
    at: String,
    by: &'a str,
    count: String,
    bytes: String,
    recordings: &'a [Recording],
    checkpoints: &'a [longshore_store::custody::Checkpoint],
    files: Vec<(&'a str, String)>,
}

/// The page's text.
pub(super) fn render(of: &PageOf<'_>) -> io::Result<String> {
    let PageOf { plan, files, checkpoints } = of;
    let page = Page {
        export: plan.export.to_string(),
        server: &plan.server,
        at: plan.at.format(MOMENT).to_string(),
        by: &plan.by,
        count: HumanCount(plan.recordings.len() as u64).to_string(),
        bytes: DecimalBytes(plan.recordings.iter().map(|recording| recording.size).sum()).to_string(),
        recordings: &plan.recordings,
        checkpoints,
        files: files.iter().map(|(path, sha256)| (path.as_str(), sha256.to_string())).collect(),
    };
    page.render().map_err(io::Error::other)
}
