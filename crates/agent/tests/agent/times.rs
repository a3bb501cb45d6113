//! The times of real videos, as ffmpeg writes them.

use std::fs;
use std::path::Path;
use std::process::Command;

use chrono::{DateTime, Utc};
use longshore_agent::clip::Clip;
use longshore_agent::source;

fn video(path: &Path, arguments: &[&str]) -> Clip {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=10", "-t", "2.5"])
        .args(arguments)
        .arg(path)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    source::hash(path, |_| true).unwrap().clip
}

#[test]
fn start_and_length_of_a_video_are_those_that_it_was_made_with() {
    let folder = tempfile::tempdir().unwrap();
    let created: DateTime<Utc> = "2026-11-21T13:03:22Z".parse().unwrap();
    let said = ["-metadata", "creation_time=2026-11-21T13:03:22Z"];
    for (name, more) in [("a.mp4", vec![]), ("a.mov", vec![]), ("front.mp4", vec!["-movflags", "+faststart"])] {
        let clip = video(&folder.path().join(name), &[&said[..], &more].concat());
        assert_eq!((clip.created, clip.length_ms), (Some(created), Some(2_500)), "{name}");
    }
    // Its length is not known when it begins.
    let clip = video(&folder.path().join("f.mp4"), &[&said[..], &["-movflags", "frag_keyframe+empty_moov"]].concat());
    assert_eq!((clip.created, clip.length_ms), (Some(created), None));
    let clip = video(&folder.path().join("unset.mp4"), &[]);
    assert_eq!((clip.created, clip.length_ms), (None, Some(2_500)));
}

#[test]
fn a_video_of_another_kind_or_one_that_was_cut_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.mkv", "a.avi", "a.ts"] {
        assert_eq!(video(&folder.path().join(name), &[]), Clip::default(), "{name}");
    }
    let path = folder.path().join("cut.mp4");
    video(&path, &["-metadata", "creation_time=2026-11-21T13:03:22Z"]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 3]).unwrap();
    assert_eq!(source::hash(&path, |_| true).unwrap().clip, Clip::default());
}
