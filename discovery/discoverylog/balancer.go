// SPDX-License-Identifier: Apache-2.0

package discoverylog

import (
	"log/slog"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
)

// The messages of balancers.
const (
	MessageEjected          = "endpoint ejected"
	MessageUnreachable      = "endpoint unreachable"
	MessageReturned         = "endpoint back"
	MessageEjectionsIgnored = "ejections ignored"
	MessageEjectionsCount   = "ejections count again"
)

// Balancer returns the observer of the balancer of a service.
func (l *Log) Balancer(service string) balancer.Observer {
	if l.handler == nil {
		return balancer.Observer{}
	}
	endpoint := func(in *discovery.Instance, more ...slog.Attr) []slog.Attr {
		attrs := []slog.Attr{slog.String("service", service)}
		if in != nil {
			attrs = append(attrs, text("id", in.ID), text("address", in.Address))
		}
		return append(attrs, more...)
	}
	return balancer.Observer{
		Ejected: func(e balancer.Ejection) {
			l.write(slog.LevelWarn, MessageEjected, service, endpoint(e.Instance,
				slog.String("reason", e.Reason.String()), millis("for_ms", e.For), slog.Int("times", e.Times))...)
		},
		Unreachable: func(e balancer.Unreached) {
			if e.Failures <= 1 { // it is out until it is back
				l.write(slog.LevelWarn, MessageUnreachable, service, endpoint(e.Instance, millis("backoff_ms", e.Backoff))...)
			}
		},
		Returned: func(e balancer.Return) {
			l.write(slog.LevelInfo, MessageReturned, service, endpoint(e.Instance, slog.String("reason", e.Reason.String()))...)
		},
		Panicked: func(e balancer.Panic) {
			level, message := slog.LevelInfo, MessageEjectionsCount
			if e.On {
				level, message = slog.LevelWarn, MessageEjectionsIgnored
			}
			l.write(level, message, service, slog.String("service", service), slog.Int("usable", e.Usable), slog.Int("of", e.Of))
		},
	}
}
