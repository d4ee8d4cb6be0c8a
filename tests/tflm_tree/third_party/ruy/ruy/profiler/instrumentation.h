// SPDX-License-Identifier: Apache-2.0
// Stand-in: present, and not needed.
