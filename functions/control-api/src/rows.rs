//! The rows of a CSV or JSON file, one after the other, while the file comes in.
//!
//! A `'` that keeps a cell from being a formula is no part of its text.
//!
//! Of a CSV file no more is kept than the row that is being read. A JSON array is kept until its end has come, and its rows
//! are read one by one then.

use std::fmt;

use csv_core::ReadRecordResult;
use dialpool_runtime::http::Problem;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::cells::unguarded;
use crate::imports::{PHONE, RowRefused};

/// The most columns of a file, and characters of a column's name.
const MOST_COLUMNS: usize = 200;
const LONGEST_COLUMN: usize = 100;

/// One row: its values by column name, in lower case.
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) values: Map<String, Value>,
}

/// A row, or why it is none.
pub(crate) type Read = Result<Row, RowRefused>;

/// A file that comes in pieces.
pub(crate) enum Rows {
    Csv(Box<CsvRows>),
    Json(Vec<u8>),
}

impl Rows {
    pub(crate) fn new(json: bool) -> Self {
        if json { Self::Json(Vec::new()) } else { Self::Csv(Box::new(CsvRows::new())) }
    }

    /// The next piece of the file. `each` gets the rows that end in it.
    ///
    /// # Errors
    /// When the file cannot be read at all, or `each` wants no more of it.
    pub(crate) fn feed(
        &mut self,
        piece: &[u8],
        each: &mut impl FnMut(Read) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        match self {
            Self::Csv(rows) => rows.feed(piece, each),
            Self::Json(body) => {
                body.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// The file is at its end.
    pub(crate) fn finish(self, each: &mut impl FnMut(Read) -> Result<(), Problem>) -> Result<(), Problem> {
        match self {
            Self::Csv(rows) => rows.finish(each),
            Self::Json(body) => json_rows(&body, each),
        }
    }
}

pub(crate) struct CsvRows {
    reader: csv_core::Reader,
    /// The names of the columns, once the header was read.
    columns: Option<Vec<String>>,
    /// The fields of the row that is being read, end to end, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
    written: usize,
    ended: usize,
    /// Lines that were ended so far.
    lines: u64,
    /// The line in which the row that is being read begins; none: it has not begun.
    begins: Option<u64>,
}

impl CsvRows {
    fn new() -> Self {
        Self {
            // `default` makes one that cannot read.
            reader: csv_core::Reader::new(),
            columns: None,
            fields: vec![0; 4_096],
            ends: vec![0; 64],
            written: 0,
            ended: 0,
            lines: 0,
            begins: None,
        }
    }

    fn feed(
        &mut self,
        mut piece: &[u8],
        each: &mut impl FnMut(Read) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        while let Some(first) = piece.first() {
            if self.begins.is_none() {
                if matches!(first, b'\r' | b'\n') {
                    self.lines += u64::from(*first == b'\n');
                    piece = &piece[1..];
                    continue;
                }
                self.begins = Some(self.lines + 1);
            }
            let (read, _at_end) = self.step(piece, each)?;
            piece = &piece[read..];
        }
        Ok(())
    }

    fn finish(mut self, each: &mut impl FnMut(Read) -> Result<(), Problem>) -> Result<(), Problem> {
        while !self.step(&[], each)?.1 {}
        match self.columns {
            Some(_) => Ok(()),
            None => columns(&[]).map(|_| ()),
        }
    }

    /// Reads up to the end of a row, or of the piece; an empty piece is the end of the file. Answers how much was read, and
    /// whether the file is at its end.
    fn step(
        &mut self,
        piece: &[u8],
        each: &mut impl FnMut(Read) -> Result<(), Problem>,
    ) -> Result<(usize, bool), Problem> {
        let (fields, ends) = (&mut self.fields[self.written..], &mut self.ends[self.ended..]);
        let (result, read, written, ended) = self.reader.read_record(piece, fields, ends);
        self.lines += piece[..read].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        self.written += written;
        self.ended += ended;
        match result {
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
            ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            ReadRecordResult::Record => {
                self.row(each)?;
                (self.written, self.ended, self.begins) = (0, 0, None);
            }
            ReadRecordResult::End => return Ok((read, true)),
        }
        Ok((read, false))
    }

    /// A row is complete.
    fn row(&mut self, each: &mut impl FnMut(Read) -> Result<(), Problem>) -> Result<(), Problem> {
        let line = self.begins.unwrap_or(self.lines);
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let fields = starts.zip(&self.ends[..self.ended]).map(|(start, end)| &self.fields[start..*end]);
        let fields: Result<Vec<&str>, _> =
            fields.map(|field| std::str::from_utf8(field).map(str::trim)).collect();
        let Some(columns) = &self.columns else {
            let header =
                fields.map_err(|_| Problem::unreadable("the header of the CSV is not UTF-8 text"))?;
            self.columns = Some(self::columns(&header)?);
            return Ok(());
        };
        let refused = |reason: String| RowRefused { line, field: "row".to_owned(), reason };
        each(match fields {
            Err(_) => Err(refused("is not UTF-8 text".to_owned())),
            Ok(fields) if fields.len() != columns.len() => {
                Err(refused(format!("has {} columns, the header has {}", fields.len(), columns.len())))
            }
            Ok(fields) => {
                let values = fields.into_iter().map(|field| Value::from(unguarded(field)));
                let values = columns.iter().cloned().zip(values).collect();
                Ok(Row { line, values })
            }
        })
    }
}

/// The names of the columns.
fn columns(header: &[&str]) -> Result<Vec<String>, Problem> {
    if header.len() > MOST_COLUMNS {
        return Err(Problem::field("header", format!("has more than {MOST_COLUMNS} columns")));
    }
    if header.iter().any(|name| name.chars().count() > LONGEST_COLUMN) {
        let reason = format!("has a column whose name has more than {LONGEST_COLUMN} characters");
        return Err(Problem::field("header", reason));
    }
    let columns: Vec<String> = header.iter().map(|name| plain(name.trim_start_matches('\u{feff}'))).collect();
    if !columns.iter().any(|column| PHONE.contains(&column.as_str())) {
        let expected = PHONE.join(", ");
        let reason = format!("has no column for the phone number: one of {expected}");
        return Err(Problem::field("header", reason));
    }
    Ok(columns)
}

/// The name of a column as it is looked for.
fn plain(name: &str) -> String {
    name.to_lowercase().replace([' ', '-'], "_")
}

fn json_rows(body: &[u8], each: &mut impl FnMut(Read) -> Result<(), Problem>) -> Result<(), Problem> {
    let mut refused = None;
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = JsonRows { each, refused: &mut refused }.deserialize(&mut reader).and_then(|()| reader.end());
    match (refused, read) {
        (Some(problem), _) => Err(problem),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => {
            Err(Problem::unreadable(format!("the body is not a JSON array of objects: {error}")))
        }
    }
}

/// An array of objects, each of which is let go before the next is read.
struct JsonRows<'a, F> {
    each: &'a mut F,
    refused: &'a mut Option<Problem>,
}

impl<'de, F: FnMut(Read) -> Result<(), Problem>> DeserializeSeed<'de> for JsonRows<'_, F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Read) -> Result<(), Problem>> Visitor<'de> for JsonRows<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        let mut line = 0;
        while let Some(values) = rows.next_element::<Map<String, Value>>()? {
            line += 1;
            let values = values.into_iter().map(|(name, value)| (plain(&name), value)).collect();
            if let Err(problem) = (self.each)(Ok(Row { line, values })) {
                *self.refused = Some(problem);
                return Err(serde::de::Error::custom("no more is wanted"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a file that comes in pieces of so many bytes: each row's line and first value, or the reason.
    fn rows(file: &[u8], piece: usize) -> Vec<(u64, String)> {
        let (mut rows, mut found) = (Rows::new(false), Vec::new());
        let mut each = |read: Read| {
            found.push(match read {
                Ok(row) => (row.line, row.values["phone"].as_str().unwrap_or_default().to_owned()),
                Err(refused) => (refused.line, refused.reason),
            });
            Ok(())
        };
        for piece in file.chunks(piece) {
            rows.feed(piece, &mut each).unwrap();
        }
        rows.finish(&mut each).unwrap();
        found
    }

    #[test]
    fn a_file_is_the_same_in_whatever_pieces_it_comes() {
        let long = "x".repeat(10_000);
        let file = format!(
            "\r\nPhone,name\r\n\r\n1,\"of two\r\nlines, \"\"quoted\"\"\"\r\n 2 ,{long}\n3\n\n4,é\r\n5,last"
        );
        let expected = [(4, "1"), (6, "2"), (7, "has 1 columns, the header has 2"), (9, "4"), (10, "5")]
            .map(|(line, text)| (line, text.to_owned()));
        for piece in [1, 2, 3, 7, 64, 4_096, file.len()] {
            assert_eq!(rows(file.as_bytes(), piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_row_that_is_not_text_is_refused_and_the_others_are_read() {
        let expected = [(2, "is not UTF-8 text".to_owned()), (3, "1".to_owned())];
        assert_eq!(rows(b"phone\n\xff\n1\n", 5), expected);
    }

    #[test]
    fn a_header_that_would_be_kept_for_every_row_has_a_limit() {
        let wide = format!("phone{}\n", ",a".repeat(MOST_COLUMNS));
        let long = format!("phone,{}\n", "a".repeat(LONGEST_COLUMN + 1));
        for file in [wide, long, String::new(), "name\n".to_owned()] {
            let mut rows = Rows::new(false);
            let mut each = |_: Read| Ok(());
            let read = rows.feed(file.as_bytes(), &mut each).and_then(|()| rows.finish(&mut each));
            assert_eq!(read.unwrap_err().status().as_u16(), 422);
        }
    }
}
