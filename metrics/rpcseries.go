// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/internal/semconv"
)

// grpcSlots is one slot for each gRPC code and one for all other numbers.
const grpcSlots = semconv.GRPCCodes + 1

// rpcSeries is the children of one method's durations, by code and error type.
type rpcSeries struct {
	set           *Set
	family, old   *family // either may be nil
	middleware    *middlewareMethod
	method        string
	address, port string
	server        bool
	slots         *[grpcSlots]atomic.Pointer[rpcChild]
}

// rpcChild is a link of the list of one code's children. There are hardly ever
// more than two: an outcome has one code and one error type.
type rpcChild struct {
	errorType    string
	duration     *Histogram
	milliseconds *Histogram
	handled      *Counter
	handling     *Histogram
	next         *rpcChild
}

func (r *rpcSeries) observe(code uint32, errorType string, d time.Duration, ex Exemplar) {
	slot := &r.slots[min(code, uint32(grpcSlots-1))]
	c := slot.Load().find(errorType)
	if c == nil {
		c = r.child(slot, code, errorType)
	}
	c.duration.observeDuration(d, ex)
	if c.milliseconds != nil {
		c.milliseconds.Observe(float64(max(d, 0))/float64(time.Millisecond), ex)
	}
	if c.handled != nil {
		c.handled.Inc(ex)
		c.handling.observeDuration(d, ex)
	}
}

func (c *rpcChild) find(errorType string) *rpcChild {
	for ; c != nil; c = c.next {
		if c.errorType == errorType {
			return c
		}
	}
	return nil
}

func (r *rpcSeries) child(slot *atomic.Pointer[rpcChild], code uint32, errorType string) *rpcChild {
	errorType = r.set.errorType(errorType)
	for {
		head := slot.Load()
		if c := head.find(errorType); c != nil {
			return c
		}
		c := r.makeChild(code, errorType)
		c.next = head
		if slot.CompareAndSwap(head, c) {
			return c
		}
	}
}

func (r *rpcSeries) makeChild(code uint32, errorType string) *rpcChild {
	c := &rpcChild{errorType: errorType}
	if r.family != nil {
		values := []string{semconv.RPCSystemGRPC, r.method, semconv.GRPCCode(code), errorType}
		if !r.server {
			values = append(values, r.address, r.port)
		}
		c.duration = r.family.child(values...)
	}
	if r.old != nil {
		c.milliseconds = r.old.child(r.oldValues(code)...)
	}
	if r.middleware != nil {
		c.handled, c.handling = r.middleware.handled(code), r.middleware.handling()
	}
	return c
}

func (r *rpcSeries) oldValues(code uint32) []string {
	service, method := semconv.SplitRPCMethod(r.method)
	if r.method == Other {
		service = Other
	}
	number := Other
	if code < uint32(semconv.GRPCCodes) {
		number = strconv.Itoa(int(code))
	}
	return []string{semconv.RPCSystemGRPC, service, method, number}
}
