//! What a terminal shows, as a picture for the README: text in an SVG, which follows the reader's light or dark theme.

use std::fmt::Write as _;

use vt100::{Cell, Color, Parser, Screen};

/// The size of one character in the picture's units.
const WIDTH: f32 = 8.43;
const HEIGHT: u16 = 20;
/// Around the text.
const MARGIN: u16 = 16;

const STYLE: &str = "\
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre; fill: #1f2328 }
rect { fill: #f6f8fa; stroke: #d1d9e0 }
.b { font-weight: 600 } .d { opacity: .65 }
.c1 { fill: #cf222e } .c2 { fill: #116329 } .c3 { fill: #7d4e00 } .c4 { fill: #0969da } .c5 { fill: #8250df } .c6 { fill: #1b7c83 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
rect { fill: #0d1117; stroke: #3d444d }
.c1 { fill: #ff7b72 } .c2 { fill: #3fb950 } .c3 { fill: #d29922 } .c4 { fill: #58a6ff } .c5 { fill: #bc8cff } .c6 { fill: #39c5cf }
}
</style>
";

/// The picture of what was written to a terminal of that width. `title` is for those who cannot see it.
pub fn picture(written: &str, columns: u16, title: &str) -> String {
    let mut terminal = Parser::new(60, columns, 0);
    terminal.process(written.as_bytes());
    let screen = terminal.screen();
    let last = screen.rows(0, columns).collect::<Vec<String>>();
    let rows = last.iter().rposition(|row| !row.trim().is_empty());
    let rows = u16::try_from(rows.map_or(0, |last| last + 1)).expect("a few rows");
    let width = f32::from(columns) * WIDTH + f32::from(2 * MARGIN);
    let height = rows * HEIGHT + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height}\" role=\"img\">\n\
         <title>{}</title>\n{STYLE}<rect x=\".5\" y=\".5\" width=\"{:.0}\" height=\"{}\" rx=\"8\"/>\n",
        escaped(title),
        width - 1.0,
        height - 1,
    );
    for row in 0..rows {
        for Run {
            start,
            end,
            class,
            text,
        } in runs(screen, row, columns)
        {
            let x = f32::from(MARGIN) + f32::from(start) * WIDTH;
            let y = MARGIN + row * HEIGHT + 14;
            let length = f32::from(end - start) * WIDTH;
            let text = escaped(&text);
            writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y}\" textLength=\"{length:.1}\" class=\"{class}\">{text}</text>"
            )
            .expect("memory");
        }
    }
    svg + "</svg>\n"
}

/// Words in one style.
struct Run {
    start: u16,
    end: u16,
    class: String,
    text: String,
}

fn runs(screen: &Screen, row: u16, columns: u16) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for column in 0..columns {
        let cell = screen.cell(row, column).expect("a cell");
        if cell.contents().trim().is_empty() {
            continue;
        }
        let class = class_of(cell);
        match runs.last_mut() {
            Some(run) if run.class == class && column <= run.end + 1 => {
                if column > run.end {
                    run.text.push(' ');
                }
                run.text.push_str(cell.contents());
                run.end = column + 1;
            }
            _ => runs.push(Run {
                start: column,
                end: column + 1,
                class,
                text: cell.contents().to_owned(),
            }),
        }
    }
    runs
}

fn class_of(cell: &Cell) -> String {
    let mut classes = Vec::new();
    if let Color::Idx(index @ 1..=6) = cell.fgcolor() {
        classes.push(format!("c{index}"));
    }
    if cell.bold() {
        classes.push("b".to_owned());
    }
    if cell.dim() {
        classes.push("d".to_owned());
    }
    classes.join(" ")
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}
