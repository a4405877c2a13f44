/* A consumer of slot_protocol.pml: take(), reading, let_go(). */

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
