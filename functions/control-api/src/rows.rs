//! The rows of a CSV or JSON file, one after the other, while the file comes in.
//!
//! A `'` that keeps a cell from being a formula is no part of its text.
//!
//! Of a CSV file no more is kept than the row that is being read. A JSON array is kept until its end has come, and its rows
//! are read one by one then. A small file may unpack to millions of cells: a row that has more than a row may have is read
//! to its end, and nothing of it is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use csv_core::ReadRecordResult;
use dialpool_runtime::http::Problem;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::cells::unguarded;
use crate::imports::{PHONE, RowRefused};

/// The most columns of a file, and characters of a column's name.
const MOST_COLUMNS: usize = 200;
const LONGEST_COLUMN: usize = 100;

/// The most characters of a text of the file that an answer repeats, and the most bytes that they may be in it.
const LONGEST_EXCERPT: usize = 100;
const MOST_EXCERPT_BYTES: usize = 240;

/// What a row has in a column.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// `null`.
    Empty,
    /// What a text, a number, `true` or `false` says.
    Text(String),
    /// A list or an object, of which nothing is kept.
    Nested,
}

/// One row: its values by column name, in lower case.
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) values: BTreeMap<String, Cell>,
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
    /// The row that is being read has more fields than a row may have: they are passed over.
    wide: bool,
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
            // One more than a row may have: a row that needs still more is too wide.
            ends: vec![0; MOST_COLUMNS + 1],
            written: 0,
            ended: 0,
            wide: false,
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
            ReadRecordResult::OutputFull if self.wide => self.written = 0,
            ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
            ReadRecordResult::OutputEndsFull if self.columns.is_none() => return Err(wide_header()),
            ReadRecordResult::OutputEndsFull => (self.written, self.ended, self.wide) = (0, 0, true),
            ReadRecordResult::Record => {
                self.row(each)?;
                (self.written, self.ended, self.wide, self.begins) = (0, 0, false, None);
            }
            ReadRecordResult::End => return Ok((read, true)),
        }
        Ok((read, false))
    }

    /// A row is complete.
    fn row(&mut self, each: &mut impl FnMut(Read) -> Result<(), Problem>) -> Result<(), Problem> {
        let line = self.begins.unwrap_or(self.lines);
        let refused = |reason: String| RowRefused { line, field: "row".to_owned(), reason };
        if self.wide {
            return each(Err(refused(format!("has more than {MOST_COLUMNS} columns"))));
        }
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
        each(match fields {
            Err(_) => Err(refused("is not UTF-8 text".to_owned())),
            Ok(fields) if fields.len() != columns.len() => {
                Err(refused(format!("has {} columns, the header has {}", fields.len(), columns.len())))
            }
            Ok(fields) => {
                let values = fields.into_iter().map(|field| Cell::Text(unguarded(field).to_owned()));
                let values = columns.iter().cloned().zip(values).collect();
                Ok(Row { line, values })
            }
        })
    }
}

/// The names of the columns.
fn columns(header: &[&str]) -> Result<Vec<String>, Problem> {
    if header.len() > MOST_COLUMNS {
        return Err(wide_header());
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

fn wide_header() -> Problem {
    Problem::field("header", format!("has more than {MOST_COLUMNS} columns"))
}

/// The name of a column as it is looked for.
fn plain(name: &str) -> String {
    name.to_lowercase().replace([' ', '-'], "_")
}

/// The beginning of what a file says, so short that it can be repeated for every row: a function may answer 6 MB.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    let mut bytes = 0;
    for (nth, (at, sign)) in text.char_indices().enumerate() {
        // An answer is JSON, and on AWS a text in JSON once more: what is escaped is escaped twice.
        bytes += match sign {
            '"' | '\\' => 4,
            sign if sign.is_control() => 7,
            sign => sign.len_utf8(),
        };
        if nth == LONGEST_EXCERPT || bytes > MOST_EXCERPT_BYTES {
            return Cow::Owned(format!("{}…", &text[..at]));
        }
    }
    Cow::Borrowed(text)
}

fn json_rows(body: &[u8], each: &mut impl FnMut(Read) -> Result<(), Problem>) -> Result<(), Problem> {
    let mut refused = None;
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = JsonRows { each, refused: &mut refused }.deserialize(&mut reader).and_then(|()| reader.end());
    match (refused, read) {
        (Some(problem), _) => Err(problem),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => {
            let error = error.to_string();
            Err(Problem::unreadable(format!("the body is not a JSON array of objects: {}", excerpt(&error))))
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

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
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
        while let Some(JsonRow(values)) = rows.next_element()? {
            line += 1;
            let row = values.map(|values| Row { line, values }).ok_or_else(|| RowRefused {
                line,
                field: "row".to_owned(),
                reason: format!("has more than {MOST_COLUMNS} fields"),
            });
            if let Err(problem) = (self.each)(row) {
                *self.refused = Some(problem);
                return Err(serde::de::Error::custom("no more is wanted"));
            }
        }
        Ok(())
    }
}

/// The values of a row by column name; none: there are more than a row may have.
struct JsonRow(Option<BTreeMap<String, Cell>>);

impl<'de> Deserialize<'de> for JsonRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonFields)
    }
}

struct JsonFields;

impl<'de> Visitor<'de> for JsonFields {
    type Value = JsonRow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<JsonRow, A::Error> {
        let mut values = BTreeMap::new();
        for _ in 0..MOST_COLUMNS {
            let Some((name, cell)) = fields.next_entry::<String, Cell>()? else {
                return Ok(JsonRow(Some(values)));
            };
            values.insert(plain(&name), cell);
        }
        let mut wide = false;
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            wide = true;
        }
        Ok(JsonRow(Some(values).filter(|_| !wide)))
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonCell)
    }
}

struct JsonCell;

impl<'de> Visitor<'de> for JsonCell {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Empty)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Cell, E> {
        Ok(Cell::Text(truth.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Cell, E> {
        Ok(Cell::Text(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
        Ok(Cell::Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Cell, E> {
        // As JSON writes it, with an exponent where it is long.
        let number = serde_json::Number::from_f64(number);
        Ok(number.map_or(Cell::Empty, |number| Cell::Text(number.to_string())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Cell, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| Cell::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Cell, A::Error> {
        IgnoredAny.visit_map(object).map(|_| Cell::Nested)
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
                Ok(Row { line, values }) => match &values["phone"] {
                    Cell::Text(text) => (line, text.clone()),
                    cell => (line, format!("{cell:?}")),
                },
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

    #[test]
    fn a_row_of_millions_of_columns_is_refused_and_takes_no_more_room_than_another() {
        let wide = vec![b','; 10_000_000];
        let (mut rows, mut found) = (CsvRows::new(), Vec::new());
        let mut each = |read: Read| {
            found.push(read.map(|row| row.line).map_err(|refused| (refused.line, refused.reason)));
            Ok(())
        };

        rows.feed(b"phone,name\n1,a\n", &mut each).unwrap();
        for piece in wide.chunks(64 * 1024) {
            rows.feed(piece, &mut each).unwrap();
        }
        rows.feed(b"\"end\"\n2,b\n", &mut each).unwrap();

        assert_eq!((rows.ends.len(), rows.fields.len()), (MOST_COLUMNS + 1, 4_096));
        assert_eq!(found, [Ok(2), Err((3, "has more than 200 columns".to_owned())), Ok(4)]);
    }

    #[test]
    fn a_wide_row_is_passed_over_in_whatever_pieces_it_comes_and_at_the_end_of_the_file_too() {
        for columns in [MOST_COLUMNS, MOST_COLUMNS + 1, MOST_COLUMNS + 2, 10_000] {
            let wide = vec!["cell"; columns].join(",");
            let file = format!("phone\n1\n{wide}\n2\n{wide}");
            let reason = match columns {
                200 | 201 => format!("has {columns} columns, the header has 1"),
                _ => "has more than 200 columns".to_owned(),
            };
            let expected = [(2, "1".to_owned()), (3, reason.clone()), (4, "2".to_owned()), (5, reason)];
            for piece in [1, 7, 4_096, file.len()] {
                assert_eq!(rows(file.as_bytes(), piece), expected, "{columns} columns in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_header_of_millions_of_columns_is_refused_before_it_is_read() {
        let mut rows = CsvRows::new();

        let problem = rows.feed(&vec![b','; 1_000_000], &mut |_| Ok(())).unwrap_err();

        assert_eq!((problem.status().as_u16(), rows.ends.len()), (422, MOST_COLUMNS + 1));
    }

    type Values = BTreeMap<String, Cell>;

    /// The values of each row of a JSON file, or why it is refused.
    fn json(file: &str) -> Result<Vec<Result<Values, String>>, Problem> {
        let mut found = Vec::new();
        let mut each = |read: Read| {
            found.push(read.map(|row| row.values).map_err(|refused| refused.reason));
            Ok(())
        };
        json_rows(file.as_bytes(), &mut each).map(|()| found)
    }

    #[test]
    fn of_a_list_or_an_object_in_a_row_of_json_nothing_is_kept() {
        let zeros = vec!["0"; 1_000_000].join(",");
        let file = format!(
            r#"[{{"Phone":"1","x":[{zeros}],"y":{{"a":{{}}}},"n":-1.5,"u":12,"t":true,"z":null}},{{"phone":"2"}}]"#
        );

        let found = json(&file).unwrap();

        let text = |text: &str| Cell::Text(text.to_owned());
        let cells = [
            ("phone", text("1")),
            ("x", Cell::Nested),
            ("y", Cell::Nested),
            ("n", text("-1.5")),
            ("u", text("12")),
            ("t", text("true")),
            ("z", Cell::Empty),
        ];
        let first = cells.map(|(name, cell)| (name.to_owned(), cell)).into();
        assert_eq!(found, [Ok(first), Ok([("phone".to_owned(), text("2"))].into())]);
    }

    #[test]
    fn a_row_of_json_has_no_more_fields_than_one_of_csv() {
        let fields = |count: usize| (0..count).map(|n| format!("\"f{n}\":[0]")).collect::<Vec<_>>().join(",");
        let (most, more, many) = (fields(MOST_COLUMNS), fields(MOST_COLUMNS + 1), fields(100_000));
        let file = format!("[{{{most}}},{{{more}}},{{{many}}},{{}}]");

        let found = json(&file).unwrap();

        let sizes: Vec<_> = found.into_iter().map(|row| row.map(|values| values.len())).collect();
        let refused = Err("has more than 200 fields".to_owned());
        assert_eq!(sizes, [Ok(200), refused.clone(), refused, Ok(0)]);
    }

    #[test]
    fn a_file_that_is_no_array_of_objects_is_not_repeated_in_the_answer() {
        for file in [format!("[\"{}\"]", "x".repeat(100_000)), format!("\"{}\"", "x".repeat(100_000))] {
            let problem = json(&file).unwrap_err();
            assert!(format!("{problem:?}").len() < 1_000, "{problem:?}");
        }
    }
}
