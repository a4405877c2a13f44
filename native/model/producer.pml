/*
 * The producer of slot_protocol.pml: whoever writes frames, the server, which ends
 * lanes, and whoever changes the route.
 */

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
