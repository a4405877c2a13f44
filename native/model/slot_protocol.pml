/*
 * The slot protocol of the frame bus, for spin. See README.md in this folder.
 *
 * One slot that is published PUBLICATIONS times (its generations), consumers
 * 0 .. MEMBERS-1 of group 0 ("infer", they share one queue of messages) and one
 * consumer of group 1 ("sink"). Slots do not touch each other's words, so one
 * is enough; what they share, the pool's mutex, is modelled.
 *
 * Each load and store of a shared word is one step, in program order and seen
 * by all at once: sequential consistency, which is what seq_cst on all of them
 * gives. Names are those of native/core/{slot_protocol.h,frame_pool.cc}.
 *
 * Mutants; each must FAIL, and scripts/suites/model.mjs checks that it does:
 *   WEAK_TAKE      take()'s TENTATIVE store is only a release store: it waits in
 *                  a store buffer while the slot word is read again
 *   WEAK_RECLAIM   try_reclaim()'s RECLAIMING store, likewise
 *   WEAK_END       end_delivery()'s closed bit, likewise
 *   NO_RECHECK     take() does not read the slot word again
 *   NO_ORDER       still_holds() is overtaken by the reads of the pixels before it
 *   WEAK_HELD      take()'s HELD store is only a release store
 *   NO_REREAD      take() does not read the fence after HELD
 *   TAKES_BACK     take() restores the lane when it finds the fence set
 *   TRIES_AGAIN    take() does not read the fence before it writes to the lane
 *   ENDS_ANYWAY    let_go() of a fenced consumer, whose result is void, still says RELEASED
 *   LATE_FENCE     the lane is closed before the fence is set, or seen to be set: so would
 *                  a release store be, as a mutex's lock orders nothing before it
 *   DEAF           still_holds() does not read the fence
 *   OLD_MEMBERS    a new group gets the index of a closed one that still has members
 *   OPEN_BITS      publish() takes all groups for open
 *   NO_AGAIN       a second lease of a generation hides that it was released before
 *   NO_TAKEN       close_lane() forgets what the consumer had let go of
 *   NO_LEFT        how the deliveries of a displaced generation ended is forgotten, and
 *                  the dispatcher takes that they were not
 *   LOST_ANYWAY    the dispatcher hands on what a dead member held, although the
 *                  message went to another one, too
 *   EAGER_FREE     close_lane() of the dead also frees the slot, whoever else leases it
 */

#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef PUBLICATIONS
#define PUBLICATIONS 2
#endif
#ifndef DEATHS
#define DEATHS 1 /* Consumers that are killed, at any step. */
#endif
#ifndef REVOKES
#define REVOKES 0 /* Consumers that are fenced while they live: at any step, as a deadline may end. */
#endif
#ifndef ROUTES
#define ROUTES 0 /* Times that group 0 leaves the route or comes back, perhaps as another group. */
#endif
#ifndef REDELIVERIES
#define REDELIVERIES 1 /* Messages that come twice, to any member. */
#endif

#if defined(WEAK_TAKE) || defined(WEAK_RECLAIM) || defined(WEAK_END) || defined(WEAK_HELD)
#define BUFFERED
#endif

#define CONSUMERS (MEMBERS + 1)
#define SINK MEMBERS
#define GROUP_OF(c) ((c) == SINK -> 1 : 0)
#define GROUP_BIT(group) (1 << (group))
#define ALL_GROUPS 3

/* Slot word {generation, closed groups, state}. */
#define FREE 0
#define WRITING 1
#define PUBLISHED 2
#define RECLAIMING 3
#define SLOT(generation, closed, state) ((generation) << 5 | (closed) << 3 | (state))
#define GENERATION(word) ((word) >> 5)
#define CLOSED(word) ((word) >> 3 & 3)
#define STATE(word) ((word) & 7)

/* Lane word {generation, again, phase}. */
#define NONE 0
#define TENTATIVE 1
#define HELD 2
#define RELEASED 3
#define LANE(generation, phase) ((generation) << 3 | (phase))
#define LEASE_OF(word) ((word) >> 3)
#define PHASE(word) ((word) & 3)
#define AGAIN 4 /* This consumer has had, and released, the generation before. */
#define HAD(word) (((word) & AGAIN) != 0 || PHASE(word) == RELEASED)
#ifdef NO_AGAIN
#define REMEMBER(before) 0
#else
#define REMEMBER(before) (LEASE_OF(before) == generation && HAD(before) -> AGAIN : 0)
#endif

/* Shared memory. */
short slot = 0;
short lane[CONSUMERS] = 0;
byte pixels = 0; /* Generation whose picture is there; 0: half a picture. */
#if REVOKES > 0
bool fence[CONSUMERS] = false;
#define FENCED(c) fence[c]
#ifdef NO_REREAD
#define FENCED_NOW(c) false
#else
#define FENCED_NOW(c) fence[c]
#endif
#else
#define FENCED(c) false
#endif

/* The producer's own, under its mutex. */
bool mutex = false;
bool open[CONSUMERS] = true; /* Lanes that it scans. */
byte taken = 0;              /* Groups whose consumer had the generation, let go and left. */
byte left_generation = 0;    /* How the deliveries of the generation before ended. */
byte left_taken = 0;

/* Messages wait here: descriptors for group 0, results for group 1. */
chan queue[2] = [PUBLICATIONS * 3 + 1] of { byte };
chan detached = [CONSUMERS] of { byte }; /* Generations that members held when they went. */
byte redeliveries = REDELIVERIES;

/* What there is to know from outside. */
bool dead[CONSUMERS] = false;
bool cut[CONSUMERS] = false; /* Lane closed, and perhaps the consumer has not noticed. */
bool idle[CONSUMERS] = true;
byte holds[CONSUMERS] = 0;   /* Generation of a confirmed lease. */
byte published = 0;

/* Deliveries of group 0: how each generation's ended, for the dispatcher. */
mtype = { PENDING, BY_CLOSE, BY_TAKE, BY_LOSS, GONE };
mtype outcome[PUBLICATIONS + 1] = PENDING;
bool has_result[PUBLICATIONS + 1] = false; /* A member has sent its result. */
bool had[PUBLICATIONS + 1] = false; /* A member's lease was confirmed, and not returned by its end. */

#if ROUTES > 0
/* Group 0 of the route: which group that is, and for which one each frame was published. */
bool on_route = true;
byte name = 1;
byte meant_for[PUBLICATIONS + 1] = 0; /* 0: group 0 was closed. */
#define OPEN_GROUPS (on_route -> ALL_GROUPS : ALL_GROUPS - GROUP_BIT(0))
#else
#define OPEN_GROUPS ALL_GROUPS
#endif
#ifdef OPEN_BITS
#define BORN_CLOSED 0
#else
#define BORN_CLOSED (ALL_GROUPS - OPEN_GROUPS)
#endif

bool ending = false; /* A connection is just ending, */
bool asking = false; /* or the dispatcher is at work. */
bool over = false;   /* Nothing more happens. */

/* ------------------------------------------------------------- store buffers */

#ifdef BUFFERED
/* One entry each: a second store waits for the first, as does a locked operation. */
bool slot_waits = false;
short slot_next = 0;
bool lane_waits[CONSUMERS] = false;
short lane_next[CONSUMERS] = 0;

#define SLOT_NOW (slot_waits * slot_next + (1 - slot_waits) * slot)
#define DRAIN_SLOT (!slot_waits)
#define DRAIN_LANE(c) (!lane_waits[c])
#define SEEN_LANE(c) (lane_waits[c] * lane_next[c] + (1 - lane_waits[c]) * lane[c])

active proctype buffers() {
  byte c;
end:
  do
  :: slot_waits -> d_step { slot = slot_next; slot_next = 0; slot_waits = false }
  :: lane_waits[0] -> d_step { lane[0] = lane_next[0]; lane_next[0] = 0; lane_waits[0] = false }
  :: lane_waits[1] -> d_step { lane[1] = lane_next[1]; lane_next[1] = 0; lane_waits[1] = false }
#if MEMBERS > 1
  :: lane_waits[2] -> d_step { lane[2] = lane_next[2]; lane_next[2] = 0; lane_waits[2] = false }
#endif
  od
}
#else
#define SLOT_NOW slot
#define DRAIN_SLOT true
#define DRAIN_LANE(c) true
#define SEEN_LANE(c) lane[c]
#endif

inline store_slot(word) { atomic { DRAIN_SLOT -> slot = word } }
inline store_lane(c, word) { atomic { DRAIN_LANE(c) -> lane[c] = word } }

#ifdef BUFFERED
inline buffer_slot(word) { atomic { DRAIN_SLOT -> slot_next = word; slot_waits = true } }
inline buffer_lane(c, word) { atomic { DRAIN_LANE(c) -> lane_next[c] = word; lane_waits[c] = true } }
#endif

#ifdef WEAK_TAKE
#define STORE_TENTATIVE buffer_lane
#else
#define STORE_TENTATIVE store_lane
#endif
#ifdef WEAK_HELD
#define STORE_HELD buffer_lane
#else
#define STORE_HELD store_lane
#endif
#ifdef WEAK_RECLAIM
#define STORE_RECLAIMING buffer_slot
#else
#define STORE_RECLAIMING store_slot
#endif
#ifdef WEAK_END
#define STORE_CLOSED buffer_slot
#else
#define STORE_CLOSED store_slot
#endif

/*
 * A critical section of the pool's mutex is one step from its lock to its first
 * access of a shared word, and one from its last access to its unlock.
 */
#define UNLOCKED (DRAIN_SLOT && !mutex)

#include "consumer.pml"
#include "producer.pml"
#include "dispatcher.pml"

init {
  atomic {
    byte c = 0;
    do
    :: c < CONSUMERS -> run consumer(c); c++
    :: else -> break
    od;
    c = 0;
    run producer();
    run server();
#if ROUTES > 0
    run route();
#endif
    run dispatcher()
  }
}
