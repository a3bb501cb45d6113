//! The picture of a comparison: a bar for each server, with its spread.

use std::fmt::Write as _;

use super::statistics::Spread;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 56.0;
const ROW: f64 = 38.0;
const BAR: f64 = 20.0;
const FONTS: &str = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";

/// One bar: its name, the part that is the program's own, and the whole.
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) user: f64,
    pub(crate) cpu: Spread,
}

/// Draws the bars under a title, as SVG that is readable on light and on dark pages.
pub(crate) fn svg(title: &str, bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.cpu.most).fold(f64::MIN_POSITIVE, f64::max);
    let step = step(most);
    let scale = (WIDTH - LEFT - RIGHT) / most;
    let bottom = TOP + ROW * bars.len() as f64;
    let height = bottom + 44.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"{FONTS}\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#0d1117\"/>\n\
         <text x=\"20\" y=\"30\" fill=\"#f0f6fc\" font-size=\"15\">{title}</text>\n"
    );
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _into_a_string = writeln!(out, "{text}");
    };
    let mut at = 0.0;
    while at <= most {
        let x = LEFT + at * scale;
        line(format_args!("<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#30363d\"/>"));
        line(format_args!(
            "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"#8b949e\" text-anchor=\"middle\">{at:.1}</text>",
            bottom + 18.0
        ));
        at += step;
    }
    for (n, bar) in bars.iter().enumerate() {
        let (y, cpu) = (TOP + ROW * n as f64 + (ROW - BAR) / 2.0, bar.cpu);
        let (middle, user, whole) = (y + BAR / 2.0, bar.user * scale, cpu.median * scale);
        let (least, most) = (LEFT + cpu.least * scale, LEFT + cpu.most * scale);
        line(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#c9d1d9\" text-anchor=\"end\">{}</text>",
            LEFT - 10.0,
            middle + 4.5,
            bar.name
        ));
        line(format_args!("<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{whole:.1}\" height=\"{BAR}\" fill=\"#388bfd\"/>"));
        line(format_args!("<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{user:.1}\" height=\"{BAR}\" fill=\"#3fb950\"/>"));
        line(format_args!(
            "<path d=\"M{least:.1} {middle:.1}H{most:.1}M{least:.1} {:.1}v8M{most:.1} {:.1}v8\" stroke=\"#f0f6fc\"/>",
            middle - 4.0,
            middle - 4.0
        ));
        line(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#f0f6fc\">{:.2}</text>",
            most + 8.0,
            middle + 4.5,
            cpu.median
        ));
    }
    line(format_args!(
        "<text x=\"20\" y=\"{:.1}\" fill=\"#8b949e\"><tspan fill=\"#3fb950\">■</tspan> in the program \
         <tspan fill=\"#388bfd\">■</tspan> in the kernel for it; a line from the least to the most of all rounds</text>",
        height - 8.0
    ));
    out.push_str("</svg>\n");
    out
}

/// Between two marks of the scale: a round number, so that there are not many.
fn step(most: f64) -> f64 {
    [0.1, 0.2, 0.5, 1.0, 2.0, 5.0].into_iter().find(|step| most / step <= 8.0).unwrap_or(10.0)
}
