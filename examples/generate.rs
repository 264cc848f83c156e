//! Lets a model answer the questions of a data file.
fn main() {}
