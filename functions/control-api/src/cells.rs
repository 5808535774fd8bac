//! Cells of a CSV file that a spreadsheet takes for text, whatever they say.
//!
//! A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@` as a formula. Such a cell is written with a `'` before it
//! (OWASP, *CSV Injection*), and the imports take that away again: [`unguarded`] of [`guarded`] is the text. So a phone number is `'+1...`
//! in a file, and neither a formula nor a rounded number.

use std::borrow::Cow;

/// Signs that begin a formula, in their full width, too, which some spreadsheets make of them.
const FORMULA: [char; 9] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '\u{2212}'];

/// Whether the text would be read as a formula but for the `'`s before it.
fn is_formula(text: &str) -> bool {
    let text = text.trim_start_matches('\'');
    let unseen = |sign: char| {
        sign.is_whitespace()
            || sign.is_control()
            || matches!(sign, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    text.starts_with(['\t', '\r', '\n']) || text.trim_start_matches(unseen).starts_with(FORMULA)
}

/// The text as it is written into a file.
pub(crate) fn guarded(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The text that was written so.
pub(crate) fn unguarded(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(text)
}

/// What a cell of a file says: the text that was guarded, or that of `="02139"`, which keeps a spreadsheet from dropping zeros.
pub(crate) fn plain(text: &str) -> &str {
    let wrapped = || text.strip_prefix("=\"")?.strip_suffix('"');
    wrapped().unwrap_or_else(|| unguarded(text))
}

/// Adds a row to a file (RFC 4180).
pub(crate) fn push_row(file: &mut String, cells: &[Cow<'_, str>]) {
    for (nth, cell) in cells.iter().enumerate() {
        if nth > 0 {
            file.push(',');
        }
        let cell = guarded(cell);
        // A semicolon or a tab is what other spreadsheets part cells by.
        if cell.contains([',', ';', '\t', '"', '\r', '\n']) || cell.trim() != cell {
            file.push('"');
            file.push_str(&cell.replace('"', "\"\""));
            file.push('"');
        } else {
            file.push_str(&cell);
        }
    }
    file.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts that are likely to be trouble.
    fn text() -> impl Strategy<Value = String> {
        let sign = prop_oneof![
            3 => proptest::sample::select(vec!['=', '+', '-', '@', '\'', '"', ',', ';', '\t', '\r', '\n', ' ']),
            1 => proptest::sample::select(vec!['\u{ff1d}', '\u{ff0b}', '\u{2212}', '\u{feff}', '\u{200b}', '\u{a0}', '\0']),
            2 => any::<char>(),
            2 => proptest::char::range('0', 'z'),
        ];
        proptest::collection::vec(sign, 0..12).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn a_file_says_what_was_written_and_no_cell_of_it_is_a_formula(
            rows in proptest::collection::vec([text(), text(), text()], 1..8),
        ) {
            let mut file = String::new();
            push_row(&mut file, &["a", "b", "c"].map(Cow::Borrowed));
            for row in &rows {
                push_row(&mut file, &row.each_ref().map(|cell| Cow::Borrowed(cell.as_str())));
            }
            let mut reader = csv::Reader::from_reader(file.as_bytes());
            let mut read = Vec::new();
            for record in reader.records() {
                let record = record.unwrap();
                prop_assert!(record.iter().all(|cell| !cell.trim_start().starts_with(['=', '+', '-', '@'])));
                prop_assert!(record.iter().all(|cell| !cell.starts_with(['\t', '\r', '\n'])));
                read.push(record.iter().map(|cell| unguarded(cell).to_owned()).collect::<Vec<_>>());
            }
            let written: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn what_is_guarded_is_read_back(text in text()) {
            let guarded = guarded(&text).into_owned();
            prop_assert_eq!(unguarded(&guarded), text.as_str());
        }
    }

    #[test]
    fn a_formula_is_one_behind_blanks_and_in_full_width_too() {
        for text in
            ["=1+1", "+14155550101", "-2", "@SUM(A1)", "\t=1", " =1", "\u{feff}=1", "\u{ff1d}1", "'=1", "\rx"]
        {
            assert!(guarded(text).starts_with('\''), "{text:?}");
        }
        for text in ["", "Ann", "O'Hara", "'tis", "2026-03-02", "0.1432", "a=b"] {
            assert_eq!(guarded(text), text);
        }
    }
}
