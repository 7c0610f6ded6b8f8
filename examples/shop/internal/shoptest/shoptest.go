// SPDX-License-Identifier: Apache-2.0

// Package shoptest is what tests of the shop's packages have in common.
package shoptest

import (
	"slices"

	"github.com/fairlead-go/fairlead/discovery/discoverylog"
)

// Housekeeping returns the log messages that belong to no request: those of a service's
// life, of its health, and of the registry.
func Housekeeping() []string {
	return slices.Concat(
		[]string{"serving", "stopping", "drained"},
		[]string{
			discoverylog.MessageReady, discoverylog.MessageNotReady, discoverylog.MessageDraining,
			discoverylog.MessageCheckFailing, discoverylog.MessageCheckPassing, discoverylog.MessageCheckChanged,
		},
		[]string{
			discoverylog.MessageRegistered, discoverylog.MessageRegistrationLost, discoverylog.MessageAway, discoverylog.MessageBack,
			discoverylog.MessageRests, discoverylog.MessageDeregistered, discoverylog.MessageNotDeregistered,
			discoverylog.MessageFailing, discoverylog.MessagePassing,
		},
		[]string{
			discoverylog.MessageLost, discoverylog.MessageAnswers, discoverylog.MessageNoInstances, discoverylog.MessageChanged,
			discoverylog.MessageHeld, discoverylog.MessageHoldOver,
			discoverylog.MessageEjected, discoverylog.MessageUnreachable, discoverylog.MessageReturned,
			discoverylog.MessageEjectionsIgnored, discoverylog.MessageEjectionsCount,
		},
	)
}
