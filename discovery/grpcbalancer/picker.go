// SPDX-License-Identifier: Apache-2.0

package grpcbalancer

import (
	"sync"

	"google.golang.org/grpc/balancer"

	core "github.com/fairlead-go/fairlead/discovery/balancer"
)

// picker picks among the endpoints that are connected. There is one for a core: what
// changes, changes in there.
type picker struct{ core *core.Balancer }

// attempts is how many endpoints are tried that lost their connection this moment.
const attempts = 3

// Pick implements [balancer.Picker]. It allocates nothing.
func (p picker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	for range attempts {
		pick, ok := p.core.Pick()
		if !ok {
			break
		}
		seat := pick.Endpoint().Value().(*seat)
		result, err := (*seat.child.ready.Load()).Pick(info)
		if err != nil {
			pick.Done(core.Ignored)
			continue
		}
		if !pick.Measured() && result.Done == nil {
			result.Done = seat.done
			return result, nil
		}
		c, _ := calls.Get().(*call)
		if c == nil {
			c = new(call)
			c.done = c.end
		}
		c.pick, c.then = pick, result.Done
		result.Done = c.done
		return result, nil
	}
	return balancer.PickResult{}, balancer.ErrNoSubConnAvailable
}

// call is one that is measured and has not ended. It is used again for another one: a
// function for each would be an allocation for each.
type call struct {
	pick core.Pick
	then func(balancer.DoneInfo)
	done func(balancer.DoneInfo) // c.end
}

var calls sync.Pool

func (c *call) end(info balancer.DoneInfo) {
	pick, then := c.pick, c.then
	c.pick, c.then = core.Pick{}, nil
	calls.Put(c)
	end(pick, info)
	if then != nil {
		then(info)
	}
}

func end(pick core.Pick, info balancer.DoneInfo) {
	switch result, retryAfter := resultOf(info); result {
	case core.Overload:
		pick.Overloaded(retryAfter)
	default:
		pick.Done(result)
	}
}
