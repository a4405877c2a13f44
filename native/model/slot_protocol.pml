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

/* ------------------------------------------------------------------ consumer */

/* Slot word as a consumer takes it to be open for its lease. */
#define IS_OPEN(word) \
  (GENERATION(word) == generation && STATE(word) == PUBLISHED && \
   (CLOSED(word) & GROUP_BIT(GROUP_OF(c))) == 0)

inline confirm() {
  d_step {
    holds[c] = generation;
    /* What the producer has not seen when it closed the lane is never leased. */
    assert(!cut[c]);
    if
    :: c != SINK ->
#if ROUTES > 0
       /* These are members of the first group that group 0 was. */
       assert(meant_for[generation] == 1);
#endif
       /* Never handed on as not taken, and taken all the same. */
       assert(outcome[generation] != BY_CLOSE);
       had[generation] = true
    :: else
    fi
  }
}

inline use() {
#ifdef NO_ORDER
  d_step {
    told = FENCED(c);
    word = slot;
    valid = !told && GENERATION(word) == generation &&
            (STATE(word) == PUBLISHED || STATE(word) == RECLAIMING)
  }
  seen = pixels;
#else
  seen = pixels;
  /* still_holds() */
#if REVOKES > 0
  d_step {
#ifndef DEAF
    told = fence[c];
#endif
    assert(told || !cut[c]) /* Whose leases were returned, is told so. */
  }
#endif
  d_step {
    word = slot;
    valid = !told && GENERATION(word) == generation &&
            (STATE(word) == PUBLISHED || STATE(word) == RECLAIMING);
    assert(FENCED(c) || valid)
  }
#endif
  /* Whatever happened meanwhile: torn pixels never pass for good ones. */
  assert(!valid || seen == generation);
  d_step { word = 0; seen = 0; told = false }
}

proctype consumer(byte c) {
  byte generation = 0;
  byte seen = 0;
  short before = 0;
  short word = 0;
  bool valid = false;
  bool told = false;
  {
end_idle:
    do
    :: atomic {
         queue[GROUP_OF(c)] ? generation -> idle[c] = false;
         if
         :: c != SINK && redeliveries > 0 -> redeliveries--; queue[0] ! generation
         :: true
         fi
#if REVOKES > 0 && !defined(TRIES_AGAIN)
         ;
         if
         :: fence[c] -> goto stale
         :: else
         fi
#endif
       }
       /* take() */
again:
       atomic {
         before = SEEN_LANE(c); /* Nobody else writes it. */
         word = slot;
         if
         :: IS_OPEN(word)
         :: GENERATION(word) == generation && STATE(word) == RECLAIMING &&
            (CLOSED(word) & GROUP_BIT(GROUP_OF(c))) == 0 ->
            if
            :: goto again
            :: goto stale /* Out of patience. */
            fi
         :: else -> goto stale
         fi
       }
       STORE_TENTATIVE(c, LANE(generation, TENTATIVE | REMEMBER(before)));
       atomic {
#ifndef NO_RECHECK
         word = slot;
#endif
         if
         :: IS_OPEN(word) -> goto held
         :: else
         fi
       }
       store_lane(c, before);
       if
       :: goto again
       :: goto stale
       fi;
held:
#if REVOKES > 0
       STORE_HELD(c, LANE(generation, HELD | REMEMBER(before)));
       if
       :: FENCED_NOW(c) ->
#ifdef TAKES_BACK
          store_lane(c, before);
#endif
          goto stale
       :: atomic { !FENCED_NOW(c) -> confirm(); before = 0 }
       fi;
#else
       atomic {
         DRAIN_LANE(c) -> lane[c] = LANE(generation, HELD | REMEMBER(before));
         confirm();
         before = 0
       }
#endif
       use();
       if
       :: atomic { c != SINK && valid -> queue[1] ! generation; has_result[generation] = true }
       :: else
       fi;
       /* let_go() */
#if REVOKES > 0 && !defined(ENDS_ANYWAY)
       if
       :: fence[c] -> atomic { holds[c] = 0; goto stale }
       :: else
       fi;
#endif
       atomic { DRAIN_LANE(c) -> lane[c] = LANE(generation, RELEASED); holds[c] = 0 }
stale:
       atomic { generation = 0; word = 0; before = 0; valid = false; idle[c] = true }
    od
  } unless {
    atomic { dead[c] -> generation = 0; seen = 0; before = 0; word = 0; valid = false; told = false }
  }
}

/* ------------------------------------------------------------------ producer */

inline look(c, of_generation) {
  atomic {
    if
    :: open[c] && LEASE_OF(lane[c]) == of_generation ->
       if
       :: PHASE(lane[c]) == TENTATIVE -> seen_leased = true
       :: PHASE(lane[c]) == HELD -> seen_leased = true; seen_held = true
       :: else
       fi;
       if
       :: HAD(lane[c]) -> seen_released = seen_released | GROUP_BIT(GROUP_OF(c))
       :: else
       fi
    :: else
    fi
  }
}

/* Reads every lane of group 0 with seq_cst loads, one after the other. */
inline scan_members(of_generation) {
  look(0, of_generation);
#if MEMBERS > 1
  look(1, of_generation);
#endif
  seen_released = seen_released | taken & GROUP_BIT(0)
}

inline scan(of_generation) {
  scan_members(of_generation);
  look(SINK, of_generation);
  seen_released = seen_released | taken
}

inline forget_scan() { seen_leased = false; seen_held = false; seen_released = 0 }

/* acquire_displacing() without a free slot; with LOSSLESS acquire(). */
inline reclaim() {
#ifdef LOSSLESS
  atomic { UNLOCKED -> mutex = true }
  scan(GENERATION(SLOT_NOW)); /* settled() */
  atomic {
    if
    :: STATE(SLOT_NOW) == PUBLISHED &&
       (seen_leased || (CLOSED(SLOT_NOW) | seen_released) != ALL_GROUPS) ->
       forget_scan();
       mutex = false;
       goto kept
    :: else -> forget_scan()
    fi
  }
#endif
  atomic {
#ifndef LOSSLESS
    UNLOCKED -> mutex = true;
#endif
    if
    :: STATE(SLOT_NOW) != PUBLISHED -> freed = true; mutex = false; goto kept
    :: else -> STORE_RECLAIMING(SLOT_NOW - PUBLISHED + RECLAIMING)
    fi
  }
  scan(GENERATION(SLOT_NOW));
  atomic {
    if
    :: seen_leased -> store_slot(SLOT_NOW - RECLAIMING + PUBLISHED)
    :: else ->
#ifdef LOSSLESS
       /* Nobody's delivery is ended by this. */
       assert((CLOSED(SLOT_NOW) & GROUP_BIT(0)) != 0 || had[GENERATION(SLOT_NOW)]);
#endif
       left_generation = GENERATION(SLOT_NOW);
       left_taken = seen_released;
       freed = true;
       store_slot(SLOT_NOW - RECLAIMING + FREE)
    fi;
    forget_scan();
    mutex = false
  }
kept:
}

/* Nothing is under way any more. */
#define NO_MEMBER (dead[0] && dead[MEMBERS - 1])
#define ALL_IDLE (idle[0] && idle[MEMBERS - 1] && idle[SINK])
#define NONE_PENDING \
  (outcome[1] != PENDING && outcome[PUBLICATIONS] != PENDING && outcome[(PUBLICATIONS + 1) / 2] != PENDING)
#define QUIET \
  (!ending && !asking && ALL_IDLE && NONE_PENDING && len(detached) == 0 && \
   (len(queue[0]) == 0 || NO_MEMBER) && (len(queue[1]) == 0 || dead[SINK]))

#define LEASED_BY(c) (holds[c] != 0 && !cut[c] && !dead[c])

inline check_outcome(generation) {
  assert(outcome[generation] != PENDING);
  assert(outcome[generation] == GONE || had[generation] == (outcome[generation] == BY_TAKE));
  /* No frame is forgotten: whose delivery was taken, there is a result. */
  assert(outcome[generation] != BY_TAKE || has_result[generation])
}

proctype producer() {
  bool freed = false;
  bool seen_leased = false;
  bool seen_held = false;
  byte seen_released = 0;
write:
  do
  :: !freed -> reclaim()
  :: else -> break
  od;
  atomic {
    UNLOCKED ->
    store_slot(SLOT_NOW - STATE(SLOT_NOW) + WRITING);
    freed = false
  }
  atomic {
    DRAIN_SLOT ->
    /* Nobody reads what is overwritten here. */
    assert(!LEASED_BY(0) && !LEASED_BY(MEMBERS - 1) && !LEASED_BY(SINK));
    pixels = 0
  }
  pixels = published + 1;
  atomic {
    UNLOCKED ->
    taken = 0;
    store_slot(SLOT(GENERATION(SLOT_NOW) + 1, BORN_CLOSED, PUBLISHED));
    published++;
#if ROUTES > 0
    if
    :: on_route -> meant_for[published] = name
    :: else -> outcome[published] = GONE /* Nobody waits for it, and nobody hands it on. */
    fi;
#endif
    queue[0] ! published;
    if :: published < PUBLICATIONS -> goto write :: else fi
  }
  /* Each delivery has ended, in one way. */
  atomic {
    QUIET -> over = true;
    check_outcome(1);
#if PUBLICATIONS > 1
    check_outcome(2);
#endif
#if PUBLICATIONS > 2
    check_outcome(3);
#endif
  }
  /* Whoever died, whatever was cut: the slot can be had again. */
  atomic { UNLOCKED -> store_slot(SLOT_NOW | ALL_GROUPS << 3) } /* end_deliveries() */
  reclaim();
  assert(freed)
}

#if MEMBERS > 1
#define OTHER_HAD \
  (!cut[1 - c] && LEASE_OF(lane[1 - c]) == GENERATION(SLOT_NOW) && \
   (PHASE(lane[1 - c]) == HELD || HAD(lane[1 - c])))
#else
#define OTHER_HAD false
#endif

/* The server's thread: close_lane() when a connection has ended. `seen_lane`: as read. */
inline close_lane() {
  UNLOCKED ->
  open[c] = false;
  cut[c] = true;
  if
  :: LEASE_OF(lane[c]) == GENERATION(SLOT_NOW) && STATE(SLOT_NOW) == PUBLISHED ->
     if
#ifndef NO_TAKEN
     :: HAD(lane[c]) -> taken = taken | GROUP_BIT(GROUP_OF(c))
#endif
     :: PHASE(lane[c]) == HELD && !HAD(lane[c]) && c != SINK ->
        detached ! GENERATION(SLOT_NOW);
        /* Returned, unless another member had it, too. */
        had[GENERATION(SLOT_NOW)] = OTHER_HAD || (taken & GROUP_BIT(0)) != 0
     :: else
     fi
  :: else
  fi;
#ifdef EAGER_FREE
  if
  :: STATE(SLOT_NOW) == PUBLISHED -> store_slot(SLOT_NOW - PUBLISHED + FREE)
  :: else
  fi;
#endif
  if
  :: dead[c] -> lane[c] = 0; holds[c] = 0
  :: else
  fi
}
proctype server() {
  byte deaths = DEATHS;
  byte revokes = REVOKES;
  byte c = 0;
end:
  do
  :: atomic {
       !over && deaths > 0 ->
       deaths--;
       ending = true;
       select(c : 0 .. CONSUMERS - 1);
       if
       :: open[c] -> dead[c] = true; idle[c] = true
       :: else -> goto done
       fi
     }
     atomic { close_lane(); goto done } /* EOF, after the process's last instruction. */
#if REVOKES > 0
  :: atomic {
       !over && revokes > 0 ->
       revokes--;
       ending = true;
       select(c : 0 .. CONSUMERS - 1);
       if
       :: open[c]
       :: else -> goto done
       fi
     }
     /* It goes on, whatever it is doing; nobody looks at its lane any more. */
#ifdef LATE_FENCE
     atomic { close_lane() }
     fence[c] = true;
#else
     fence[c] = true;
     atomic { close_lane() }
#endif
     atomic { goto done }
#endif
  :: atomic {
       false;
done:
       c = 0;
       ending = false
     }
  od
}

/* --------------------------------------------------------------------- route */

#if ROUTES > 0
/* open_group() and close_group() of group 0. */
proctype route() {
  byte routes = ROUTES;
end:
  do
  :: atomic {
       UNLOCKED && !over && routes > 0 ->
       routes--;
       if
       :: on_route ->
          on_route = false;
          if
          :: STATE(SLOT_NOW) == PUBLISHED -> store_slot(SLOT_NOW | GROUP_BIT(0) << 3)
          :: else
          fi
       :: !on_route -> on_route = true /* The same group is back. */
       :: !on_route &&
#ifdef OLD_MEMBERS
          true
#else
          !open[0] && !open[MEMBERS - 1]
#endif
          -> on_route = true; name++
       fi
     }
  od
}
#endif

/* ---------------------------------------------------------------- dispatcher */

/* What the dispatcher of services/ingest makes of the answer. */
inline ended() {
  if
  :: lost && outcome[generation] != PENDING && outcome[generation] != BY_TAKE
     /* Handed on already. */
  :: else ->
#ifdef LOST_ANYWAY
     if
     :: lost -> result = BY_CLOSE
     :: else
     fi;
#endif
     outcome[generation] = (result == BY_CLOSE && lost -> BY_LOSS : result);
     if
     :: result == BY_CLOSE -> assert(!had[generation]); queue[1] ! generation
     :: else
     fi
  fi;
  generation = 0;
  lost = false;
  result = PENDING;
  asking = false
}

/* end_delivery() of group 0. */
inline end_delivery() {
  atomic {
    UNLOCKED -> mutex = true;
    if
    :: GENERATION(SLOT_NOW) == generation && STATE(SLOT_NOW) == PUBLISHED ->
       STORE_CLOSED(SLOT_NOW | GROUP_BIT(0) << 3)
    :: (GENERATION(SLOT_NOW) != generation || STATE(SLOT_NOW) != PUBLISHED) &&
       left_generation == generation ->
#ifdef NO_LEFT
       result = BY_CLOSE;
#else
       result = ((left_taken & GROUP_BIT(0)) != 0 -> BY_TAKE : BY_CLOSE);
#endif
       goto answered
    :: else -> result = GONE; goto answered
    fi
  }
  scan_members(generation);
  atomic {
    if
    :: seen_held || seen_released != 0 -> result = BY_TAKE
    :: !seen_held && seen_released == 0 && seen_leased -> result = PENDING
    :: else -> result = BY_CLOSE
    fi;
    forget_scan();
answered:
    mutex = false;
    ended()
  }
}

proctype dispatcher() {
  byte generation = 0;
  bool lost = false;
  mtype result = PENDING;
  bool seen_leased = false;
  bool seen_held = false;
  byte seen_released = 0;
end:
  do
  :: atomic {
       if
       :: detached ? generation -> lost = true
       :: outcome[1] == PENDING && published >= 1 -> generation = 1
#if PUBLICATIONS > 1
       :: outcome[2] == PENDING && published >= 2 -> generation = 2
#endif
#if PUBLICATIONS > 2
       :: outcome[3] == PENDING && published >= 3 -> generation = 3
#endif
       fi;
       asking = true
     }
     end_delivery()
  od
}

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
