// SPDX-License-Identifier: Apache-2.0

package discovery

// Replace and Update are how answers of a registry are taken in.
func (s *Set) Replace(instances []Instance) *Set { out, _ := s.replace(instances); return out }

// Update is a partial answer.
func (s *Set) Update(put []Instance, remove []string) *Set {
	out, _ := s.update(put, remove)
	return out
}
