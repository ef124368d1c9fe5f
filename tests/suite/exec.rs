//! `tflock exec`: one lock round any program, and what runs inside of it.

mod elsewhere;
mod inside;
mod lent;
mod nested;
mod parents;
mod several;
mod shim_place;
