/* The dispatcher of slot_protocol.pml: how deliveries to group 0 end. */

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
