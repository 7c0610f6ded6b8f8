// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// looks is how often a watchdog looks within the longest silence.
	looks = 4
	// minSilence bounds what looking costs.
	minSilence = 10 * time.Millisecond
)

// What the goroutine has done since the last look.
const (
	beatNone uint32 = iota
	beatSome
	beatPaused
	beatDone
)

// Beat is the pulse of one goroutine that the process cannot do without, such as a
// consumer's loop. One that is stuck stops beating, and the process is not ready any
// more. Make it with [Set.Watch]. All methods may be called by several goroutines and
// of a nil Beat, which does nothing.
type Beat struct {
	state atomic.Uint32
	// stop takes it out of the set.
	stop func()
	// What follows belongs to the watchdog.
	silence time.Duration
	silent  int // looks since the last beat
	begun   bool
}

// Watch adds a watchdog: a goroutine is expected to call [Beat.Beat] at least once in
// maxSilence, which is at least 10 ms. One that has not for that long, up to a quarter
// longer, is [StateStuck] at once, without damping; when it beats again, it passes
// after one look, then two, four and so on if that keeps happening.
//
// It is looked after a quarter of maxSilence each. What counts are looks, and not time:
// in a process that was suspended as a whole nobody has been silent. name is as for
// [Set.Add]. The criticality is [Critical], unless it is given; with [Vital], the
// process is not alive either.
//
//	beat, err := checks.Watch("consumer", 10*time.Second)
//	go func() {
//		defer beat.Done()
//		for msg := range messages {
//			beat.Beat()
//			handle(msg)
//			beat.Pause() // there may be no message for a while
//		}
//	}()
func (s *Set) Watch(name string, maxSilence time.Duration, opts ...WatchOption) (*Beat, error) {
	look := maxSilence / looks
	cfg := checkConfig{interval: look, timeout: look, failAfter: 1, passAfter: 1, again: look}
	for _, o := range opts {
		o.applyWatch(&cfg)
	}
	var errs []error
	if maxSilence < minSilence {
		errs = append(errs, fmt.Errorf("the silence is %v and must be at least %v", maxSilence, minSilence))
	}
	if cfg.criticality > Vital {
		errs = append(errs, fmt.Errorf("criticality: is %d and must be Critical, Optional or Vital", cfg.criticality))
	}
	b := &Beat{silence: maxSilence}
	c := newCheck(name, b.look, cfg)
	c.watchdog = true
	b.stop = func() { s.remove(c) }
	if err := s.add(c, errors.Join(errs...)); err != nil {
		return nil, fmt.Errorf("health: Watch %q: %w", name, err)
	}
	return b, nil
}

// Beat says that the goroutine lives. It costs about a nanosecond, and ends a pause.
func (b *Beat) Beat() {
	if b != nil && b.state.Load() != beatSome {
		b.state.Store(beatSome)
	}
}

// Pause says that the goroutine has nothing to do, or waits for somebody else, and is
// not to be watched until it beats again.
func (b *Beat) Pause() {
	if b != nil {
		b.state.Store(beatPaused)
	}
}

// Done says that the goroutine has come to its proper end, and takes the watchdog out of
// the set; the name is free again. It can be called twice. A goroutine that ends without
// it is one that has stopped beating.
func (b *Beat) Done() {
	if b != nil && b.state.Swap(beatDone) != beatDone {
		b.stop()
	}
}

// look is the watchdog's check.
func (b *Beat) look(context.Context) error {
	if b.state.CompareAndSwap(beatSome, beatNone) || b.state.Load() != beatNone {
		b.silent, b.begun = 0, true
		return nil
	}
	b.silent++
	switch {
	case b.silent >= looks:
		return stuckError(fmt.Sprintf("no beat for %v", b.silence))
	case !b.begun:
		return errPending
	}
	return nil
}
