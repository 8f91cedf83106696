//! Go's JSON rules, once, for the whole model: missing and `null` both give the zero value, `omitempty` leaves out what Go
//! calls empty, and a nil slice, map or pointer (here: `None`) is written as `null`.
//!
//! `model!` declares an Engine API object as a table of wire name and field. It writes no logic of its own: every line
//! becomes an ordinary struct field with serde attributes.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Reads a value, with `null` meaning the zero value (as Go's `encoding/json` does for every type).
pub fn null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// What `omitempty` leaves out: false, 0, "", nil pointers, and nil or empty slices and maps; never a struct.
pub trait Empty {
    /// Whether Go's `omitempty` leaves this value out.
    fn is_empty(&self) -> bool;

    /// Whether a present `Option` of this is left out too: so for slices and maps (Go has no pointer there), not for
    /// `*bool`, `*string`, `*int`.
    fn is_empty_inside(&self) -> bool {
        false
    }
}

/// For `skip_serializing_if`.
pub fn empty<T: Empty>(value: &T) -> bool {
    value.is_empty()
}

macro_rules! empty_when_default {
    ($($ty:ty),*) => { $(impl Empty for $ty { fn is_empty(&self) -> bool { *self == <$ty>::default() } })* };
}
empty_when_default!(bool, i32, i64, u16, u32, u64, String);

impl<T: Empty> Empty for Option<T> {
    fn is_empty(&self) -> bool {
        self.as_ref().is_none_or(T::is_empty_inside)
    }
}

impl Empty for serde_json::Value {
    fn is_empty(&self) -> bool {
        self.is_null()
    }
}

macro_rules! empty_collection {
    ($($ty:ty => [$($generic:ident),*]);*) => { $(
        impl<$($generic),*> Empty for $ty {
            fn is_empty(&self) -> bool { self.len() == 0 }
            fn is_empty_inside(&self) -> bool { self.len() == 0 }
        }
    )* };
}
empty_collection!(Vec<T> => [T]; BTreeMap<K, V> => [K, V]);

/// Declares Engine API objects: `"WireName" [omitempty] => field: Type,`. Maps and slices are `Option`s (Go's nil).
/// `.. rest` embeds a struct (Go's embedding); `.. extra` as a last line keeps unknown fields.
macro_rules! model {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$fmeta:meta])* $wire:literal $($omit:ident)? => $field:ident : $ty:ty, )*
            $( .. $(#[$emeta:meta])* $embed:ident : $ety:ty, $( $(#[$gmeta:meta])* $gwire:literal $($gomit:ident)? => $gfield:ident : $gty:ty, )* )*
        }
    )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $(
                $(#[$fmeta])*
                #[doc = concat!("`", $wire, "`", $(" (", stringify!($omit), ")")?)]
                #[serde(rename = $wire, default, deserialize_with = "crate::go::null")]
                $(#[doc = $crate::go::omitted!($omit)] #[serde(skip_serializing_if = "crate::go::empty")])?
                pub $field: $ty,
            )*
            $(
                $(#[$emeta])*
                #[serde(flatten)]
                pub $embed: $ety,
                $(
                    $(#[$gmeta])*
                    #[doc = concat!("`", $gwire, "`", $(" (", stringify!($gomit), ")")?)]
                    #[serde(rename = $gwire, default, deserialize_with = "crate::go::null")]
                    $(#[doc = $crate::go::omitted!($gomit)] #[serde(skip_serializing_if = "crate::go::empty")])?
                    pub $gfield: $gty,
                )*
            )*
        }

        impl $crate::case::FieldNames for $name {
            fn correct(value: &mut serde_json::Value) {
                $( <$ety as $crate::case::FieldNames>::correct(value); )*
                let Some(object) = value.as_object_mut() else { return };
                $crate::case::rename(object, &[$($wire,)* $($($gwire,)*)*]);
                $( object.get_mut($wire).into_iter().for_each(<$ty as $crate::case::FieldNames>::correct); )*
                $($( object.get_mut($gwire).into_iter().for_each(<$gty as $crate::case::FieldNames>::correct); )*)*
            }
        }

        impl $crate::go::Empty for $name {
            fn is_empty(&self) -> bool {
                false
            }
        }
    )* };
}

/// Accepts the one marker `model!` knows, so that a misspelt one does not compile.
macro_rules! omitted {
    (omitempty) => {
        ""
    };
}

pub(crate) use {model, omitted};
