//! The rows of a CSV or JSON file, one after the other, while the file comes in.
//!
//! A `'` that keeps a cell from being a formula is no part of its text. Spreadsheets leave out empty cells at the end of a row, add
//! empty rows and cells, part columns by what their language parts them by, and save text as Windows-1252: all of it is read.
//!
//! Of a CSV file no more is kept than the row that is being read. A JSON array is kept until its end has come, and its rows
//! are read one by one then. A small file may unpack to millions of cells: a row that has more than a row may have is read
//! to its end, and nothing of it is kept.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use csv_core::{ReadRecordResult, ReaderBuilder};
use dialpool_runtime::http::Problem;
use encoding_rs::WINDOWS_1252;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::cells::plain;
use crate::columns::{Column, Columns, Role};
use crate::imports::{PHONE, RowRefused};

/// The most columns of a file.
const MOST_COLUMNS: usize = 200;

/// What may part the columns of a header line, and the most bytes of it that are searched for that.
const DELIMITERS: [u8; 4] = *b",;\t|";
const LONGEST_HEADER: usize = 64 * 1024;

/// The most texts of a list in a row of JSON that are kept.
const MOST_TEXTS: usize = 50;

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
    /// A short list of texts, parted by commas.
    Texts(String),
    /// A list or an object, of which nothing is kept.
    Nested,
}

/// One row: its values by the name of the column, of those that are a field of their own; and the cells of all other columns
/// that are read.
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) values: BTreeMap<&'static str, Cell>,
    pub(crate) more: Vec<(Arc<Column>, Cell)>,
}

impl Row {
    fn new(line: u64) -> Self {
        Self { line, values: BTreeMap::new(), more: Vec::new() }
    }

    fn put(&mut self, column: &Arc<Column>, cell: Cell) {
        match column.role {
            Role::Field(name) => {
                self.values.insert(name, cell);
            }
            Role::Unread | Role::Unclear(_) => {}
            Role::Phone(..)
            | Role::Zone
            | Role::State(_)
            | Role::Zip(_)
            | Role::Flag(_)
            | Role::MayCall
            | Role::Status(_) => self.more.push((Arc::clone(column), cell)),
        }
    }
}

/// A row, or why it is none.
pub(crate) type Read = Result<Row, RowRefused>;

/// A file that comes in pieces.
pub(crate) enum Rows {
    Csv(Box<CsvRows>),
    Json(Vec<u8>, Columns),
}

impl Rows {
    pub(crate) fn new(json: bool, columns: Columns) -> Self {
        if json { Self::Json(Vec::new(), columns) } else { Self::Csv(Box::new(CsvRows::new(columns))) }
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
            Self::Json(body, _) => {
                body.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// The file is at its end.
    /// Answers the headers of the columns that were not read.
    ///
    /// # Errors
    /// When the file cannot be read at all, a column must be read and is not understood, or `each` wants no more of it.
    pub(crate) fn finish(
        self,
        each: &mut impl FnMut(Read) -> Result<(), Problem>,
    ) -> Result<Vec<String>, Problem> {
        let columns = match self {
            Self::Csv(rows) => rows.finish(each)?,
            Self::Json(body, mut columns) => {
                json_rows(&body, &mut columns, each)?;
                columns
            }
        };
        columns.must_be_clear()?;
        Ok(columns.not_read())
    }
}

pub(crate) struct CsvRows {
    reader: csv_core::Reader,
    /// What came of the file while it is not known what parts its columns.
    head: Option<Vec<u8>>,
    /// What the headers mean, and the columns of this file, once its header was read.
    meaning: Columns,
    columns: Option<Vec<Arc<Column>>>,
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
    /// The byte before the one that is read: `\r\n` is one end of a line.
    previous: u8,
    /// The last byte that came, and whether it is that of the file.
    last: u8,
    at_end: bool,
}

impl CsvRows {
    fn new(meaning: Columns) -> Self {
        Self {
            // `default` makes one that cannot read.
            reader: csv_core::Reader::new(),
            head: Some(Vec::new()),
            meaning,
            columns: None,
            fields: vec![0; 4_096],
            // One more than a row may have: a row that needs still more is too wide.
            ends: vec![0; MOST_COLUMNS + 1],
            written: 0,
            ended: 0,
            wide: false,
            lines: 0,
            begins: None,
            previous: 0,
            last: 0,
            at_end: false,
        }
    }

    fn feed(
        &mut self,
        piece: &[u8],
        each: &mut impl FnMut(Read) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        self.last = piece.last().copied().unwrap_or(self.last);
        let Some(head) = &mut self.head else { return self.read(piece, each) };
        head.extend_from_slice(piece);
        let begins = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(head.len());
        let complete = head[begins..].iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        if complete || head.len() > LONGEST_HEADER { self.begin(each) } else { Ok(()) }
    }

    /// Reads what is there of the file, now that its columns can be told apart.
    fn begin(&mut self, each: &mut impl FnMut(Read) -> Result<(), Problem>) -> Result<(), Problem> {
        let Some(head) = self.head.take() else { return Ok(()) };
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(Problem::unreadable("the file is UTF-16 text: save it as CSV UTF-8"));
        }
        let (delimiter, begins) = match said_delimiter(&head) {
            Some((delimiter, begins)) => (delimiter, begins),
            None => (self.delimiter(&head), 0),
        };
        self.reader = ReaderBuilder::new().delimiter(delimiter).build();
        self.read(&head[begins..], each)
    }

    /// What parts the columns: the sign by which the first line has one for the phone number.
    fn delimiter(&mut self, head: &[u8]) -> u8 {
        let head = String::from_utf8_lossy(head);
        let head = head.trim_start_matches(['\u{feff}', '\r', '\n']);
        let header = head.split(['\r', '\n']).next().unwrap_or_default();
        let is_phone = |name: &str| is_phone(&self.meaning.looked_at(name.trim().trim_matches('"')));
        let has_phone = |delimiter: &u8| header.split(char::from(*delimiter)).any(is_phone);
        DELIMITERS.into_iter().find(has_phone).unwrap_or(b',')
    }

    /// Counts the ends of lines: `\n`, `\r\n` and a `\r` alone.
    fn count(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.lines += u64::from(*byte == b'\r' || (*byte == b'\n' && self.previous != b'\r'));
            self.previous = *byte;
        }
    }

    fn read(
        &mut self,
        mut piece: &[u8],
        each: &mut impl FnMut(Read) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        while let Some(first) = piece.first() {
            if self.begins.is_none() {
                if matches!(first, b'\r' | b'\n') {
                    self.count(&piece[..1]);
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

    fn finish(mut self, each: &mut impl FnMut(Read) -> Result<(), Problem>) -> Result<Columns, Problem> {
        self.begin(each)?;
        self.at_end = true;
        while !self.step(&[], each)?.1 {}
        match self.columns {
            Some(_) => Ok(self.meaning),
            None => columns(&mut self.meaning, &[]).map(|_| self.meaning),
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
        self.count(&piece[..read]);
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
        let refused = |reason: String| Err(RowRefused { line, field: "row".to_owned(), reason });
        if self.wide {
            return each(refused(format!("has more than {MOST_COLUMNS} columns")));
        }
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let fields: Vec<&[u8]> =
            starts.zip(&self.ends[..self.ended]).map(|(start, end)| &self.fields[start..*end]).collect();
        let breaks = |field: &&[u8]| field.contains(&b'\n') || field.contains(&b'\r');
        let cut_off = self.at_end && self.last != b'"' && fields.last().is_some_and(breaks);
        let broken = fields.iter().any(breaks);
        let fields = texts(&fields);
        let fields: Vec<&str> = fields.iter().map(|field| field.trim()).collect();
        let Some(columns) = &self.columns else {
            self.columns = Some(columns(&mut self.meaning, &fields)?);
            return Ok(());
        };
        let (needed, spare) = fields.split_at(columns.len().min(fields.len()));
        if fields.iter().all(|field| field.is_empty()) {
            return Ok(());
        }
        if cut_off || (broken && needed.len() < columns.len()) {
            return each(refused("has a line break in a cell: a \" is not closed".to_owned()));
        }
        if spare.iter().any(|field| !field.is_empty()) {
            let (has, header) = (fields.len(), columns.len());
            return each(refused(format!("has {has} columns, the header has {header}")));
        }
        let mut row = Row::new(line);
        for (column, field) in columns.iter().zip(needed) {
            row.put(column, Cell::Text(plain(field).to_owned()));
        }
        each(Ok(row))
    }
}

/// What a first line `sep=;` says that parts the columns, and where the header begins.
fn said_delimiter(head: &[u8]) -> Option<(u8, usize)> {
    let marked = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let line = marked.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let said = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (name, sign) = said.split_at_checked(4)?;
    match (name.eq_ignore_ascii_case(b"sep="), sign) {
        (true, [delimiter]) => Some((*delimiter, head.len() - marked.len() + line.len())),
        _ => None,
    }
}

fn is_phone(role: &Role) -> bool {
    match role {
        Role::Field(name) => PHONE.contains(name),
        Role::Phone(..) => true,
        Role::Zone
        | Role::State(_)
        | Role::Zip(_)
        | Role::Flag(_)
        | Role::MayCall
        | Role::Status(_)
        | Role::Unread
        | Role::Unclear(_) => false,
    }
}

/// The cells of a row as text: UTF-8, or else what a spreadsheet of Windows saves.
fn texts<'a>(fields: &[&'a [u8]]) -> Vec<Cow<'a, str>> {
    let utf8: Result<Vec<_>, _> =
        fields.iter().map(|field| std::str::from_utf8(field).map(Cow::Borrowed)).collect();
    utf8.unwrap_or_else(|_| {
        fields.iter().map(|field| WINDOWS_1252.decode_without_bom_handling(field).0).collect()
    })
}

/// What the columns of a header say.
fn columns(meaning: &mut Columns, header: &[&str]) -> Result<Vec<Arc<Column>>, Problem> {
    if header.len() > MOST_COLUMNS {
        return Err(wide_header());
    }
    let columns: Vec<_> =
        header.iter().map(|name| meaning.column(name.trim_start_matches('\u{feff}'))).collect();
    let mut seen = BTreeSet::new();
    let once = |role: &Role| match role {
        Role::Field(name) => Some((*name).to_owned()),
        Role::Phone(..) | Role::Zone | Role::State(_) | Role::Zip(_) => None,
        Role::Flag(_) | Role::MayCall | Role::Status(_) | Role::Unread | Role::Unclear(_) => {
            Some(String::new())
        }
    };
    for column in &columns {
        let name = once(&column.role).unwrap_or_else(|| column.name.clone());
        if !name.is_empty() && !seen.insert(name.clone()) {
            return Err(Problem::field("header", format!("has the column {name} twice")));
        }
    }
    meaning.must_be_clear()?;
    if !columns.iter().any(|column| is_phone(&column.role)) {
        let expected = PHONE.join(", ");
        let reason = format!("has no column for the phone number: one of {expected}");
        return Err(Problem::field("header", reason));
    }
    Ok(columns)
}

fn wide_header() -> Problem {
    Problem::field("header", format!("has more than {MOST_COLUMNS} columns"))
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

fn json_rows(
    body: &[u8],
    columns: &mut Columns,
    each: &mut impl FnMut(Read) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut refused = None;
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = JsonRows { each, columns, refused: &mut refused }
        .deserialize(&mut reader)
        .and_then(|()| reader.end());
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
    columns: &'a mut Columns,
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
        while let Some(row) = rows.next_element_seed(JsonFields { line: line + 1, columns: self.columns })? {
            line += 1;
            let row = row.ok_or_else(|| RowRefused {
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

/// A row; none: it has more fields than a row may have.
struct JsonFields<'a> {
    line: u64,
    columns: &'a mut Columns,
}

impl<'de> DeserializeSeed<'de> for JsonFields<'_> {
    type Value = Option<Row>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for JsonFields<'_> {
    type Value = Option<Row>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Option<Row>, A::Error> {
        let mut row = Row::new(self.line);
        for _ in 0..MOST_COLUMNS {
            let Some((name, cell)) = fields.next_entry::<String, Cell>()? else {
                return Ok(Some(row));
            };
            row.put(&self.columns.column(&name), cell);
        }
        let mut wide = false;
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            wide = true;
        }
        Ok(Some(row).filter(|_| !wide))
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cell, A::Error> {
        let mut texts: Vec<String> = Vec::new();
        let mut nested = false;
        // An empty list says nothing, a short one of texts says these.
        while let Some(cell) = list.next_element::<Cell>()? {
            match cell {
                Cell::Text(text) if texts.len() < MOST_TEXTS && !nested => {
                    texts.push(excerpt(&text).into_owned());
                }
                Cell::Empty if !nested => {}
                Cell::Text(_) | Cell::Empty | Cell::Texts(_) | Cell::Nested => {
                    nested = true;
                    texts.clear();
                    break;
                }
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(match texts.is_empty() {
            _ if nested => Cell::Nested,
            true => Cell::Empty,
            false => Cell::Texts(texts.join(",")),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Cell, A::Error> {
        let is_empty = object.next_entry::<IgnoredAny, IgnoredAny>()?.is_none();
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(if is_empty { Cell::Empty } else { Cell::Nested })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a file that comes in pieces of so many bytes: each row's line and first value, or the reason.
    fn rows(file: &[u8], piece: usize) -> Vec<(u64, String)> {
        let (mut rows, mut found) = (Rows::new(false, Columns::of_numbers()), Vec::new());
        let mut each = |read: Read| {
            found.push(match read {
                Ok(Row { line, values, .. }) => match &values["phone"] {
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
        let _ = rows.finish(&mut each).unwrap();
        found
    }

    type Values = BTreeMap<&'static str, Cell>;

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    /// The rows of a CSV file.
    fn values(file: &[u8]) -> Vec<Values> {
        let (mut rows, mut found) = (Rows::new(false, Columns::of_numbers()), Vec::new());
        let mut each = |read: Read| {
            found.push(read.expect("a row").values);
            Ok(())
        };
        rows.feed(file, &mut each).expect("a file");
        let _ = rows.finish(&mut each).expect("a file");
        found
    }

    #[test]
    fn a_file_is_the_same_in_whatever_pieces_it_comes() {
        let long = "x".repeat(10_000);
        let file = format!(
            "\r\nPhone,name\r\n\r\n1,\"of two\r\nlines, \"\"quoted\"\"\"\r\n 2 ,{long}\n3,a,b\n\n4,é\r\n5,last"
        );
        let expected = [(4, "1"), (6, "2"), (7, "has 3 columns, the header has 2"), (9, "4"), (10, "5")]
            .map(|(line, text)| (line, text.to_owned()));
        for piece in [1, 2, 3, 7, 64, 4_096, file.len()] {
            assert_eq!(rows(file.as_bytes(), piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_parts_the_columns_is_seen_in_the_header() {
        for (header, row) in [
            ("name;Phone Number", "a, b;1"),
            ("\u{feff}\"phone\";name", "1;a"),
            ("name\tphone", "a\t1"),
            ("phone|name", "1|a"),
            ("phone", "1"),
        ] {
            let found = values(format!("{header}\r\n{row}\r\n").as_bytes());
            let phone = |row: &Values| PHONE.iter().find_map(|name| row.get(name)) == Some(&text("1"));
            assert!(found.len() == 1 && phone(&found[0]), "{header}: {found:?}");
        }
    }

    #[test]
    fn empty_cells_that_a_spreadsheet_leaves_out_or_adds_change_nothing() {
        let file = "phone,name,state,\n1\n2,a\n3,a,CA,,,\n,,,\n , ,\n4,a,CA,x\n5,a,CA,,y\n";
        let expected = [(2, "1"), (3, "2"), (4, "3"), (7, "4"), (8, "has 5 columns, the header has 4")];
        assert_eq!(rows(file.as_bytes(), 5), expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn text_of_a_spreadsheet_of_windows_is_read() {
        let found = values(b"phone,pr\xe9nom,name\n1,x,Jos\xe9 \x96 \x80\n2,x,Jos\xc3\xa9\n");
        let names: Vec<_> = found.iter().map(|row| &row["name"]).collect();
        assert_eq!(names, [&text("José – €"), &text("José")]);
        let mut utf16 = CsvRows::new(Columns::of_numbers());
        let problem = utf16.feed(b"\xff\xfep\0h\0o\0n\0e\0\n\0", &mut |_| Ok(())).unwrap_err();
        assert_eq!(problem.status().as_u16(), 400);
    }

    #[test]
    fn rows_that_fell_into_a_cell_because_a_quote_is_not_closed_are_not_lost_unnoticed() {
        let reason = "has a line break in a cell: a \" is not closed".to_owned();
        let closed = [(2, "1".to_owned())];
        for (file, expected) in [
            ("phone,name,x\n1,\"a\n2,b,\n3,c,\n", [(2, reason.clone())]),
            ("phone,x\n1,\"a\n2,b\n3,c", [(2, reason)]),
            ("phone,x\n1,\"a\nb\"", closed.clone()),
            ("phone,x\n1,\"a\nb\"\n", closed.clone()),
            ("phone,x,y\n1,\"a\nb\",c", closed),
        ] {
            assert_eq!(rows(file.as_bytes(), 3), expected, "{file}");
        }
    }

    #[test]
    fn a_header_of_which_it_is_unclear_what_is_where_is_refused() {
        let wide = format!("phone{}\n", ",a".repeat(MOST_COLUMNS));
        for file in [&wide, "", "name\n", "Phone,name,phone\n", "phone,State,state\n", "phone"] {
            let mut rows = Rows::new(false, Columns::of_numbers());
            let mut each = |_: Read| Ok(());
            let read = rows.feed(file.as_bytes(), &mut each).and_then(|()| rows.finish(&mut each));
            let status = read.map_or_else(|problem| problem.status().as_u16(), |_| 200);
            assert_eq!(status, if file == "phone" { 200 } else { 422 }, "{file}");
        }
    }

    #[test]
    fn a_row_of_millions_of_columns_is_refused_and_takes_no_more_room_than_another() {
        let wide = vec![b','; 10_000_000];
        let (mut rows, mut found) = (CsvRows::new(Columns::of_numbers()), Vec::new());
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
        let mut rows = CsvRows::new(Columns::of_numbers());

        let problem = rows.feed(&vec![b','; 1_000_000], &mut |_| Ok(())).unwrap_err();

        assert_eq!((problem.status().as_u16(), rows.ends.len()), (422, MOST_COLUMNS + 1));
    }

    /// The values of each row of a JSON file, or why it is refused.
    fn json(file: &str) -> Result<Vec<Result<Values, String>>, Problem> {
        let mut found = Vec::new();
        let mut each = |read: Read| {
            found.push(read.map(|row| row.values).map_err(|refused| refused.reason));
            Ok(())
        };
        json_rows(file.as_bytes(), &mut Columns::of_numbers(), &mut each).map(|()| found)
    }

    #[test]
    fn of_a_list_or_an_object_in_a_row_of_json_nothing_is_kept() {
        let zeros = vec!["0"; 1_000_000].join(",");
        let file = format!(
            r#"[{{"Phone":"1","x":[{zeros}],"label":[{zeros}],"state":{{"a":{{}}}},"calls":-1.5,"health":12,"active":true,"notes":null}},{{"phone":"2"}}]"#
        );

        let found = json(&file).unwrap();

        let first = [
            ("phone", text("1")),
            ("label", Cell::Nested),
            ("state", Cell::Nested),
            ("calls", text("-1.5")),
            ("health", text("12")),
            ("active", text("true")),
            ("notes", Cell::Empty),
        ];
        let (first, second) = (Values::from(first), Values::from([("phone", text("2"))]));
        assert_eq!(found, [Ok(first), Ok(second)]);
    }

    #[test]
    fn a_row_of_json_has_no_more_fields_than_one_of_csv() {
        let fields = |count: usize| (0..count).map(|n| format!("\"f{n}\":[0]")).collect::<Vec<_>>().join(",");
        let (most, more, many) = (fields(MOST_COLUMNS), fields(MOST_COLUMNS + 1), fields(100_000));
        let file = format!("[{{{most}}},{{{more}}},{{{many}}},{{}}]");

        let found = json(&file).unwrap();

        let read: Vec<_> = found.into_iter().map(|row| row.map(|values| values.len())).collect();
        let refused = Err("has more than 200 fields".to_owned());
        assert_eq!(read, [Ok(0), refused.clone(), refused, Ok(0)], "of what is not read nothing is kept");
    }

    #[test]
    fn a_file_that_is_no_array_of_objects_is_not_repeated_in_the_answer() {
        for file in [format!("[\"{}\"]", "x".repeat(100_000)), format!("\"{}\"", "x".repeat(100_000))] {
            let problem = json(&file).unwrap_err();
            assert!(format!("{problem:?}").len() < 1_000, "{problem:?}");
        }
    }
}
