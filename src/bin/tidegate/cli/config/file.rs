//! A configuration file: TOML with a table for each role, whose keys are the names of the role's flags.
//!
//! ```toml
//! [chat]
//! listen = ["127.0.0.1:7000", "unix:/run/room.sock"]
//! max-connections = 100
//! echo = true
//! ```

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A place in a file, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What is wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub place: Place,
    pub what: String,
}

/// The table of one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub role: String,
    pub place: Place,
    pub settings: Vec<Setting>,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub value: Value,
    /// Of the key, and of the value.
    pub place: Place,
    pub value_place: Place,
}

/// A value as it would be typed. A number is a text too: `1_000` is `1000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Number(String),
    Yes,
    No,
    /// Each with its place.
    List(Vec<(Place, Value)>),
    /// Of a kind that no flag has.
    Other(&'static str),
}

/// The tables of a file, in their order.
pub fn tables(text: &str) -> Result<Vec<Table>, Wrong> {
    let place = |span: Range<usize>| place(text, span.start);
    let file = DeTable::parse(text)
        .map_err(|error| Wrong { place: place(error.span().unwrap_or_default()), what: error.message().to_owned() })?;
    let mut tables = Vec::new();
    for (role, table) in file.get_ref() {
        let at = place(role.span());
        let DeValue::Table(keys) = table.get_ref() else {
            let key = role.get_ref();
            let what = match table.get_ref() {
                DeValue::Array(_) => format!("'{key}' is a list: a role has one table, [{key}]"),
                _ => format!("'{key}' is in no table: write the name of a role above it, such as [chat]"),
            };
            return Err(Wrong { place: at, what });
        };
        let mut settings: Vec<_> = keys.iter().map(|(key, value)| setting(key, value, &place)).collect();
        settings.sort_by_key(|setting| (setting.place.line, setting.place.column));
        tables.push(Table { role: role.get_ref().to_string(), place: at, settings });
    }
    tables.sort_by_key(|table| table.place.line);
    Ok(tables)
}

fn setting(
    key: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    place: &impl Fn(Range<usize>) -> Place,
) -> Setting {
    Setting {
        key: key.get_ref().to_string(),
        value: as_typed(value.get_ref(), place),
        place: place(key.span()),
        value_place: place(value.span()),
    }
}

fn as_typed(value: &DeValue<'_>, place: &impl Fn(Range<usize>) -> Place) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        // A number of another base means nothing on a command line, but for a mode, which is a text.
        DeValue::Integer(number) if number.radix() == 10 => Value::Number(number.as_str().to_owned()),
        DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Boolean(true) => Value::Yes,
        DeValue::Boolean(false) => Value::No,
        DeValue::Array(values) => {
            let values = values.iter().map(|value| (place(value.span()), as_typed(value.get_ref(), place)));
            Value::List(values.collect())
        }
        DeValue::Integer(_) => Value::Other("a number that is not decimal"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(_) => Value::Other("a table"),
    }
}

/// Columns are counted in characters.
fn place(text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Place { line, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_table_for_each_role() {
        let text =
            "# of a room\n[chat]\nlisten = [\"7000\", \"unix:/x\"]\n  echo = true\nmax-connections = 1_000\n\n[echo]\n";
        let tables = tables(text).unwrap();
        assert_eq!(tables.iter().map(|table| table.role.as_str()).collect::<Vec<_>>(), ["chat", "echo"]);
        let settings = &tables[0].settings;
        let keys: Vec<_> = settings.iter().map(|setting| (setting.key.as_str(), setting.place.line)).collect();
        assert_eq!(keys, [("listen", 3), ("echo", 4), ("max-connections", 5)]);
        let listen = [(11, "7000"), (19, "unix:/x")];
        let listen = listen.map(|(column, text)| (Place { line: 3, column }, Value::Text(text.to_owned()))).to_vec();
        assert_eq!(settings[0].value, Value::List(listen));
        assert_eq!(settings[1].place, Place { line: 4, column: 3 });
        assert_eq!((&settings[1].value, &settings[2].value), (&Value::Yes, &Value::Number("1000".to_owned())));
        assert_eq!(tables[1].settings, []);
    }

    #[test]
    fn what_is_no_toml_or_in_no_table_is_wrong_at_its_place() {
        for (text, line, column, says) in [
            ("[chat\n", 1, 6, ""),
            ("[chat]\nécho = true\n", 2, 1, ""),
            ("[chat]\necho = true\necho = false\n", 3, 1, "duplicate"),
            ("listen = 7000\n", 1, 1, "'listen' is in no table: write the name of a role above it, such as [chat]"),
            ("[chat]\necho = yes\n", 2, 8, ""),
        ] {
            let wrong = tables(text).unwrap_err();
            assert!(wrong.what.contains(says), "{wrong:?}");
            assert_eq!((wrong.place.line, wrong.place.column), (line, column), "{text}: {wrong:?}");
        }
    }
}
