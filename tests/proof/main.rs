//! The methods against formulas written from the papers, the axioms they obey, and the programs they become.

mod nets;
mod oracle;
mod rules;
mod run;
