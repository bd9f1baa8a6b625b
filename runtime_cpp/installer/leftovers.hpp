/// \file
/// What interrupted work leaves behind. All of these need the lock. Names that a crash can leave:
///     .tmp-current, .tmp-previous      links that were not put in place
///     installer.tmp
///     releases/.tmp-<id>               a release that was not complete, or a damaged one
///     releases/.old-<id>               a damaged release that had to make place for its repair
///     releases/<id>                    complete, but no link names it
///     incoming/*
#pragma once

#include <string>

#include "store.hpp"

namespace edgesmith::installer {

/// Finishes or takes back what a crash interrupted, and removes what is of no use. Afterwards there
/// is nothing but complete releases, links, what came in, and damage that no crash does.
Status recover(const Store& store);

/// Makes room for a release: removes other releases that no link names, and of what came in all
/// that is not what its name says or not of this release. What is still on its way (*.part) stays.
Status make_room(const Store& store, const Manifest& manifest);

/// Removes all that came in, and the releases that no link names.
Status clean(const Store& store);

}  // namespace edgesmith::installer
