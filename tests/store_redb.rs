//! Stores that need nothing installed: all of them do what a store has to do, and a file survives what files go through.

#[path = "support/store_contract.rs"]
mod store_contract;

#[path = "store_redb/contract.rs"]
mod contract;
#[path = "store_redb/damage.rs"]
mod damage;
#[path = "store_redb/directory.rs"]
mod directory;
#[path = "store_redb/opening.rs"]
mod opening;
