//! What calls the keeper, and its round.

use std::sync::{Arc, Weak};
use std::time::Instant;

use antiphon::ticker::survive;

use super::chores::{Chores, PAUSE};
use super::crew::{Crew, Member, Then, Work};
use crate::shared::Inner;
use crate::sync::{Mutex, lock};

/// The threads of all keepers of the process.
static CREW: Crew<Post> = Crew::new();

/// Calls the keeper when it is rung, and lets it go when it is dropped, which is when the pool is
/// gone.
pub(crate) struct Bell(Keeper);

/// The keeper, seen from its pool.
#[derive(Clone)]
pub(crate) struct Keeper(Arc<Member<Post>>);

/// What the crew knows of a pool.
struct Post {
    pool: Weak<Inner>,
    /// What is remembered from one round to the next. Locked by the one thread that has the round.
    chores: Mutex<Chores>,
    /// What a caller remembers that starts instances instead of the crew. Empty while a caller does
    /// so.
    stand_in: Mutex<Option<Chores>>,
}

impl Bell {
    /// Returns a bell for a pool, which may be one that is still being built.
    pub(crate) fn new(pool: Weak<Inner>) -> Self {
        let stand_in = Mutex::new(Some(Chores::default()));
        Self(Keeper(Member::new(Post { pool, chores: Mutex::default(), stand_in })))
    }

    /// Returns the keeper that the bell calls.
    pub(crate) fn keeper(&self) -> Keeper {
        self.0.clone()
    }

    /// Tells the keeper that there may be something to do.
    pub(crate) fn ring(&self) {
        CREW.call(&self.0.0);
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        CREW.dismiss(&self.0.0);
    }
}

impl Keeper {
    /// Returns whether the keeper had no thread when the bell was last rung: the system refused it,
    /// or the crew is as large as it may be and at work for other pools.
    pub(crate) fn is_absent(&self) -> bool {
        self.0.is_unattended()
    }

    /// Starts an instance instead of the keeper, in the time of the caller. Does nothing if
    /// another caller is doing so.
    ///
    /// # Cancel safety
    /// A dropped start gives its place up.
    pub(crate) async fn stand_in(&self, pool: &Inner) {
        /// Returns what is remembered, also from a start that is dropped.
        struct Kept<'a>(&'a Post, Option<Chores>);

        impl Drop for Kept<'_> {
            fn drop(&mut self) {
                *lock(&self.0.stand_in) = self.1.take();
            }
        }

        let post = self.0.work();
        let chores = lock(&post.stand_in).take();
        let mut kept = match chores {
            Some(chores) => Kept(post, Some(chores)),
            None => return,
        };
        if let Some(chores) = &mut kept.1 {
            chores.start_one(pool, || false).await;
        }
    }
}

impl Work for Post {
    fn round(&self) -> Then {
        let mut then = Instant::now().checked_add(PAUSE).map_or(Then::Called, Then::At);
        // The pool is dropped in here too. This may be its last reference, whose drop runs foreign
        // code.
        survive(|| {
            then = match self.pool.upgrade() {
                Some(pool) => lock(&self.chores).run(&pool),
                None => Then::Called,
            };
        });
        then
    }
}
