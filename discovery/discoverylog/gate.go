// SPDX-License-Identifier: Apache-2.0

package discoverylog

import (
	"sync"
	"time"
)

// The bounds of what is written of one message about one subject.
const (
	maxLines   = 10
	windowTime = 10 * time.Second
	// untoldTime is how long it is remembered that lines were left out.
	untoldTime = time.Hour
	// maxWindows bounds the messages and subjects that are told apart.
	maxWindows = 1000
)

type gateKey struct{ message, subject string }

// window is what was written since some time.
type window struct {
	since   time.Time
	lines   int
	dropped uint64
}

// gate bounds how many lines there are.
type gate struct {
	mu      sync.Mutex
	windows map[gateKey]*window
	cleared time.Time
}

// pass reports whether there may be a line, and how many there were not before it.
func (g *gate) pass(now time.Time, k gateKey) (left uint64, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.windows[k]
	if w == nil {
		if len(g.windows) >= maxWindows && now.Sub(g.cleared) >= windowTime {
			g.clear(now)
		}
		if len(g.windows) >= maxWindows {
			k.subject = "" // shared by those for whom there is no room
			w = g.windows[k]
		}
		if w == nil {
			w = &window{since: now}
			g.windows[k] = w
		}
	}
	if now.Sub(w.since) >= windowTime {
		w.since, w.lines = now, 0
	}
	if w.lines >= maxLines {
		w.dropped++
		return 0, false
	}
	w.lines++
	left, w.dropped = w.dropped, 0
	return left, true
}

// clear makes room of what is over.
func (g *gate) clear(now time.Time) {
	g.cleared = now
	for k, w := range g.windows {
		if over := now.Sub(w.since); over >= windowTime && w.dropped == 0 || over >= untoldTime {
			delete(g.windows, k)
		}
	}
}

// told is what was last told of each of several, where only changes are.
type told struct {
	mu   sync.Mutex
	last map[string]string
}

// changed notes what is so, and returns what was.
func (t *told) changed(key, is string) (was string, changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was, known := t.last[key]
	if !known && len(t.last) >= maxWindows {
		return "", false
	}
	t.last[key] = is
	return was, was != is
}

func (t *told) forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.last, key)
}
