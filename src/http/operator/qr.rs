//! QR codes of enrolment texts, for a page and for a terminal.

use longshore_protocol::ProblemType;
use qrcode::render::{svg, unicode};
use qrcode::types::QrError;
use qrcode::{EcLevel, QrCode};

use super::super::error::Failure;

/// Pixels of a side at least, so that a camera at arm's length can read it from a screen.
const SIDE: u32 = 480;

/// A text of some hundred letters always fits.
fn code(text: &str) -> Result<QrCode, QrError> {
    QrCode::with_error_correction_level(text, EcLevel::M)
}

/// As an SVG document, black on white whatever the page looks like.
pub(super) fn svg(text: &str) -> Result<String, Failure> {
    let code = code(text).map_err(|error| Failure::new(ProblemType::Internal, format!("no QR code: {error}")))?;
    Ok(code.render::<svg::Color<'_>>().min_dimensions(SIDE, SIDE).build())
}

/// As lines of half blocks for a terminal, which shows light letters on a dark ground.
pub(crate) fn terminal(text: &str) -> anyhow::Result<String> {
    let light_on_dark = (unicode::Dense1x2::Light, unicode::Dense1x2::Dark);
    let code = code(text)?;
    Ok(code.render::<unicode::Dense1x2>().dark_color(light_on_dark.0).light_color(light_on_dark.1).build())
}
