// SPDX-License-Identifier: Apache-2.0

package tail

import (
	"container/list"

	"go.opentelemetry.io/otel/trace"
)

// decisions remembers the last trace ids kept, the one used longest ago
// forgotten first. Dropped traces need no memory: a late span of one is dropped
// for want of a reason.
type decisions struct {
	max   int
	byID  map[trace.TraceID]*list.Element
	order *list.List // of trace.TraceID, most recently used in front
}

func newDecisions(limit int) decisions {
	return decisions{max: limit, byID: make(map[trace.TraceID]*list.Element), order: list.New()}
}

func (d *decisions) kept(id trace.TraceID) bool {
	e, ok := d.byID[id]
	if ok {
		d.order.MoveToFront(e)
	}
	return ok
}

func (d *decisions) remember(id trace.TraceID) {
	if d.kept(id) {
		return
	}
	if d.order.Len() == d.max {
		oldest := d.order.Back()
		delete(d.byID, d.order.Remove(oldest).(trace.TraceID))
	}
	d.byID[id] = d.order.PushFront(id)
}
