//! `tflock exec`: one lock around any program, and what runs inside.

mod elsewhere;
mod inside;
mod lent;
mod nested;
mod parents;
mod several;
mod shim_place;
