//! The methods against formulas written from the papers, the axioms they obey, and the programs they become.

mod architectures;
mod axioms;
mod flight;
mod folded;
mod nets;
mod oracle;
mod plan;
mod rules;
mod run;
mod split;
