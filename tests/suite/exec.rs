//! `tflock exec`: one lock round any program, and what runs inside of it.

mod elsewhere;
mod inside;
mod nested;
mod shim_place;
