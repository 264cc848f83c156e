//! Finds NaN and infinities before JSON turns them into null.
//!
//! `serde_json` writes a non-finite float as `null`, just as it writes `Option::None`. After the
//! fact the two cannot be told apart, so the value is walked first by a serializer that writes
//! nothing and stops at the first float that is not finite.

use std::fmt::{self, Display};

use serde::ser::{self, Serialize, Serializer};
use serde_json::Value;

/// A number that JSON cannot hold, and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct NonFiniteCell {
    /// Path inside the value, such as `scores[3].mean`; empty if the value itself is the number.
    pub field: String,
    /// The number: NaN or an infinity.
    pub value: f64,
}

/// Walks `value` as a serializer would and returns the first float that is not finite.
///
/// `None` (the option) inside the value is fine: it is a legitimate null.
///
/// ```
/// use tamis_report::find_non_finite;
/// assert_eq!(find_non_finite(&vec![Some(1.0), None]), None);
/// let found = find_non_finite(&vec![Some(1.0), Some(f64::NAN)]).ok_or("not found")?;
/// assert_eq!(found.field, "[1]");
/// # Ok::<(), &'static str>(())
/// ```
pub fn find_non_finite<T: Serialize + ?Sized>(value: &T) -> Option<NonFiniteCell> {
    match value.serialize(Walk) {
        Err(Stop::NonFinite { mut steps, value }) => {
            steps.reverse();
            let mut field = String::new();
            for step in steps {
                match step {
                    Step::Name(name) if field.is_empty() => field = name,
                    Step::Name(name) => {
                        field.push('.');
                        field.push_str(&name);
                    }
                    Step::Index(index) => {
                        field.push('[');
                        field.push_str(&index.to_string());
                        field.push(']');
                    }
                }
            }
            Some(NonFiniteCell { field, value })
        }
        // The value's own `Serialize` failed: so it will when it is written, with its own message.
        Ok(()) | Err(Stop::Custom(_)) => None,
    }
}

enum Step {
    Name(String),
    Index(usize),
}

/// Why the walk ended early. `steps` lead from the innermost place outwards.
enum Stop {
    NonFinite { steps: Vec<Step>, value: f64 },
    Custom(String),
}

impl Stop {
    fn inside(mut self, step: impl FnOnce() -> Step) -> Self {
        if let Self::NonFinite { steps, .. } = &mut self {
            steps.push(step());
        }
        self
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NonFinite { value, .. } => write!(f, "{value} is not finite"),
            Self::Custom(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Stop {}

impl ser::Error for Stop {
    fn custom<T: Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

/// The serializer that writes nothing.
struct Walk;

/// Takes values that cannot hold a float.
macro_rules! harmless {
    ($($method:ident($($kind:ty)?),)*) => {
        $(fn $method(self $(, _: $kind)?) -> Result<(), Stop> { Ok(()) })*
    };
}

impl Serializer for Walk {
    type Ok = ();
    type Error = Stop;
    type SerializeSeq = Elements;
    type SerializeTuple = Elements;
    type SerializeTupleStruct = Elements;
    type SerializeTupleVariant = Elements;
    type SerializeMap = Entries;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    harmless! {
        serialize_bool(bool), serialize_char(char), serialize_str(&str), serialize_bytes(&[u8]),
        serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_i128(i128), serialize_u8(u8), serialize_u16(u16), serialize_u32(u32),
        serialize_u64(u64), serialize_u128(u128), serialize_none(), serialize_unit(),
        serialize_unit_struct(&'static str),
    }

    fn serialize_f32(self, value: f32) -> Result<(), Stop> {
        self.serialize_f64(f64::from(value))
    }
    fn serialize_f64(self, value: f64) -> Result<(), Stop> {
        if value.is_finite() {
            Ok(())
        } else {
            let steps = Vec::new();
            Err(Stop::NonFinite { steps, value })
        }
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Stop> {
        value.serialize(Walk)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Stop> {
        Ok(())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        value.serialize(Walk)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        value.serialize(Walk).map_err(|stop| stop.inside(|| Step::Name(variant.to_owned())))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Elements, Stop> {
        Ok(Elements::default())
    }
    fn serialize_tuple(self, _: usize) -> Result<Elements, Stop> {
        Ok(Elements::default())
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements, Stop> {
        Ok(Elements::default())
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements, Stop> {
        let variant = Some(variant);
        Ok(Elements { next: 0, variant })
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Entries, Stop> {
        Ok(Entries::default())
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, Stop> {
        Ok(Fields::default())
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields, Stop> {
        let variant = Some(variant);
        Ok(Fields { variant })
    }
}

/// Inside a sequence or tuple.
#[derive(Default)]
struct Elements {
    next: usize,
    variant: Option<&'static str>,
}

impl Elements {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        let index = self.next;
        self.next += 1;
        value.serialize(Walk).map_err(|stop| {
            let stop = stop.inside(|| Step::Index(index));
            match self.variant {
                Some(variant) => stop.inside(|| Step::Name(variant.to_owned())),
                None => stop,
            }
        })
    }
}

/// Inside a struct or struct variant.
#[derive(Default)]
struct Fields {
    variant: Option<&'static str>,
}

impl Fields {
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Stop> {
        value.serialize(Walk).map_err(|stop| {
            let stop = stop.inside(|| Step::Name(name.to_owned()));
            match self.variant {
                Some(variant) => stop.inside(|| Step::Name(variant.to_owned())),
                None => stop,
            }
        })
    }
}

/// Inside a map.
#[derive(Default)]
struct Entries {
    key: String,
}

impl ser::SerializeMap for Entries {
    type Ok = ();
    type Error = Stop;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Stop> {
        // Only for the path. A key that JSON cannot hold ends the walk: writing will refuse it too.
        self.key = match serde_json::to_value(key).map_err(ser::Error::custom)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        value
            .serialize(Walk)
            .map_err(|stop| stop.inside(|| Step::Name(std::mem::take(&mut self.key))))
    }
    fn end(self) -> Result<(), Stop> {
        Ok(())
    }
}

macro_rules! sequence_like {
    ($($kind:ident.$method:ident),*) => {$(
        impl ser::$kind for Elements {
            type Ok = ();
            type Error = Stop;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
                self.element(value)
            }
            fn end(self) -> Result<(), Stop> {
                Ok(())
            }
        }
    )*};
}
sequence_like!(
    SerializeSeq.serialize_element,
    SerializeTuple.serialize_element,
    SerializeTupleStruct.serialize_field,
    SerializeTupleVariant.serialize_field
);

macro_rules! struct_like {
    ($($kind:ident),*) => {$(
        impl ser::$kind for Fields {
            type Ok = ();
            type Error = Stop;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Stop> {
                self.field(name, value)
            }
            fn end(self) -> Result<(), Stop> {
                Ok(())
            }
        }
    )*};
}
struct_like!(SerializeStruct, SerializeStructVariant);
