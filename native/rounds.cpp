// Which edge or face of a rounded polyhedron a line along z strikes, and which edge is nearest in the plane.
//
// Loops run over a block of places for one edge after the other: the compiler makes vectors of them.
#include "rounds.h"
#include "lanes.h"

namespace exitwave::EXITWAVE_LEVEL {

namespace {

constexpr int BLOCK = 128; // places that are worked on at a time
constexpr int COLUMNS = 10;

// The numbers of specimen/rounds.py.
constexpr double FAR = 1e6, UPRIGHT = 1e-6, STEEP = 1e-4, SLACK = 1e-6;

template <class T> EXITWAVE_INLINE T square_root_of(T number) {
    if constexpr (sizeof(T) == sizeof(float)) {
        return __builtin_sqrtf(number);
    } else {
        return __builtin_sqrt(number);
    }
}

template <class T> EXITWAVE_INLINE T at_least_zero(T number) { return number > T(0) ? number : T(0); }

template <class T> EXITWAVE_INLINE T within(T number, T high) {
    const T positive = at_least_zero(number);
    return positive < high ? positive : high;
}

// An edge, and the direction in the plane that it runs in.
template <class T> struct Edge {
    T z, y, x, rise, along_y, along_x, length, normal_y, normal_x, width, run, unit_y, unit_x, end, climb;

    EXITWAVE_METHOD Edge(const T *row, long edges, long number) {
        const auto column = [=](int which) { return row[which * edges + number]; };
        z = column(0), y = column(1), x = column(2);
        rise = column(3), along_y = column(4), along_x = column(5), length = column(6);
        normal_y = column(7), normal_x = column(8), width = column(9);
        const T square = along_y * along_y + along_x * along_x;
        const T lowest = T(UPRIGHT) * T(UPRIGHT);
        run = square_root_of(square > lowest ? square : lowest);
        const bool upright = run < T(2 * UPRIGHT);
        unit_y = upright ? T(0) : along_y / run;
        unit_x = upright ? T(1) : along_x / run;
        end = run * length;
        climb = rise / run;
    }

    // How far along its direction a place in the plane lies from the edge's start, and how far beside it.
    EXITWAVE_METHOD void measure(T at_y, T at_x, T &along, T &beside) const {
        const T away_y = at_y - y, away_x = at_x - x;
        along = away_y * unit_y + away_x * unit_x;
        beside = away_y * unit_x - away_x * unit_y;
    }
};

template <class T> struct Face {
    T up, slope_y, slope_x, distance;

    EXITWAVE_METHOD Face(const T *row, const Rounds<T> &all, long number) {
        const T *from = row + COLUMNS * all.edges + number;
        up = from[0], slope_y = from[all.faces], slope_x = from[2 * all.faces], distance = from[3 * all.faces];
    }
};

// One block of places, and what is found at them.
template <class T> struct Places {
    T y[BLOCK], x[BLOCK];
    int count;

    EXITWAVE_METHOD Places(const Rounds<T> &all, long body, long from) {
        const long left = all.places - from;
        count = static_cast<int>(left < BLOCK ? left : BLOCK);
        for (int i = 0; i < BLOCK; ++i) {
            const long place = body * all.places + from + (i < count ? i : 0);
            y[i] = all.y[place];
            x[i] = all.x[place];
        }
    }
};

template <class T>
EXITWAVE_INLINE void strike_edges(const Rounds<T> &all, const T *row, const Places<T> &at, T (&best)[2][BLOCK],
                                  T (&which)[2][BLOCK]) {
    const T square = row[all.columns() - 1] * row[all.columns() - 1];
    for (long number = 0; number < all.edges; ++number) {
        const Edge<T> edge(row, all.edges, number);
        const T numbered = static_cast<T>(number);
        for (int i = 0; i < BLOCK; ++i) {
            T along, beside;
            edge.measure(at.y[i], at.x[i], along, beside);
            const T wide = square - beside * beside, lean = edge.rise * square_root_of(at_least_zero(wide));
            for (int side = 0; side < 2; ++side) {
                const T sense = side == 0 ? T(1) : T(-1);
                const T place = within(along + sense * lean, edge.end), shorter = along - place;
                const T rest = wide - shorter * shorter;
                const T height = square_root_of(at_least_zero(rest)) + sense * (edge.z + place * edge.climb);
                const bool better = (height > best[side][i]) & (rest >= T(0));
                best[side][i] = better ? height : best[side][i];
                which[side][i] = better ? numbered : which[side][i];
            }
        }
    }
}

template <class T>
EXITWAVE_INLINE void strike_faces(const Rounds<T> &all, const T *row, const Places<T> &at, int side,
                                  T (&lowest)[BLOCK], T (&which)[BLOCK], T (&beyond)[BLOCK]) {
    const T sense = side == 0 ? T(1) : T(-1), radius = row[all.columns() - 1];
    T foot_z[BLOCK], foot_y[BLOCK], foot_x[BLOCK];
    for (int i = 0; i < BLOCK; ++i) {
        lowest[i] = T(FAR), which[i] = T(0), foot_z[i] = foot_y[i] = foot_x[i] = T(0), beyond[i] = T(-FAR);
    }
    for (long number = 0; number < all.faces; ++number) {
        const Face<T> face(row, all, number);
        const T numbered = static_cast<T>(number), upwards = face.up * sense;
        if (!(upwards > T(STEEP))) {
            continue;
        }
        const T per = T(1) / upwards;
        for (int i = 0; i < BLOCK; ++i) {
            const T height = (face.distance - face.slope_y * at.y[i] - face.slope_x * at.x[i]) * per;
            const bool lower = height < lowest[i];
            lowest[i] = lower ? height : lowest[i];
            which[i] = lower ? numbered : which[i];
            foot_z[i] = lower ? face.up : foot_z[i];
            foot_y[i] = lower ? face.slope_y : foot_y[i];
            foot_x[i] = lower ? face.slope_x : foot_x[i];
        }
    }
    for (int i = 0; i < BLOCK; ++i) {
        foot_z[i] = lowest[i] * sense - radius * foot_z[i];
        foot_y[i] = at.y[i] - radius * foot_y[i];
        foot_x[i] = at.x[i] - radius * foot_x[i];
    }
    for (long number = 0; number < all.faces; ++number) {
        const Face<T> face(row, all, number);
        for (int i = 0; i < BLOCK; ++i) {
            const T past =
                face.up * foot_z[i] + face.slope_y * foot_y[i] + face.slope_x * foot_x[i] - face.distance;
            beyond[i] = past > beyond[i] ? past : beyond[i];
        }
    }
}

template <class T> void strike_of(const Rounds<T> &all, long first, long last, const Struck &to) {
    T best[2][BLOCK], edge[2][BLOCK], lowest[BLOCK], face[BLOCK], beyond[BLOCK];
    for (long body = first; body < last; ++body) {
        const T *row = all.rows + body * all.columns();
        const T radius = row[all.columns() - 1];
        T largest = T(0);
        for (long number = 0; number < all.faces; ++number) {
            const Face<T> one(row, all, number);
            largest = one.distance > largest ? one.distance : largest;
        }
        for (long from = 0; from < all.places; from += BLOCK) {
            const Places<T> at(all, body, from);
            for (int i = 0; i < BLOCK; ++i) {
                best[0][i] = best[1][i] = T(-FAR);
                edge[0][i] = edge[1][i] = T(0);
            }
            strike_edges(all, row, at, best, edge);
            for (int side = 0; side < 2; ++side) {
                strike_faces(all, row, at, side, lowest, face, beyond);
                const long place = (side * all.bodies + body) * all.places + from;
                for (int i = 0; i < at.count; ++i) {
                    to.edge[place + i] = static_cast<int64_t>(edge[side][i]);
                    to.face[place + i] = static_cast<int64_t>(face[i]);
                    to.met[place + i] = best[side][i] > T(-FAR);
                    to.flat[place + i] = (beyond[i] + radius <= T(SLACK) * largest) & (lowest[i] < T(FAR));
                }
            }
        }
    }
}

template <class T> void nearest_of(const Rounds<T> &all, long first, long last, const Nearest &to) {
    T square[BLOCK], beyond[BLOCK], which[BLOCK], line[BLOCK];
    for (long body = first; body < last; ++body) {
        const T *row = all.rows + body * all.columns();
        for (long from = 0; from < all.places; from += BLOCK) {
            const Places<T> at(all, body, from);
            for (int i = 0; i < BLOCK; ++i) {
                square[i] = T(FAR * FAR), beyond[i] = T(-2 * FAR), which[i] = line[i] = T(0);
            }
            for (long number = 0; number < all.edges; ++number) {
                const Edge<T> edge(row, all.edges, number);
                const T numbered = static_cast<T>(number);
                for (int i = 0; i < BLOCK; ++i) {
                    T along, beside;
                    edge.measure(at.y[i], at.x[i], along, beside);
                    const T shorter = along - within(along, edge.end);
                    const T gap = beside * beside + shorter * shorter;
                    which[i] = gap < square[i] ? numbered : which[i];
                    square[i] = gap < square[i] ? gap : square[i];
                    const T past = edge.normal_y * at.y[i] + edge.normal_x * at.x[i] - edge.width;
                    line[i] = past > beyond[i] ? numbered : line[i];
                    beyond[i] = past > beyond[i] ? past : beyond[i];
                }
            }
            const long place = body * all.places + from;
            for (int i = 0; i < at.count; ++i) {
                to.edge[place + i] = static_cast<int64_t>(which[i]);
                to.line[place + i] = static_cast<int64_t>(line[i]);
                to.outside[place + i] = beyond[i] > T(0);
            }
        }
    }
}

template <class T> constexpr RoundsFaces<T> faces() { return {strike_of<T>, nearest_of<T>}; }

} // namespace

const RoundsKernels rounds = {faces<float>(), faces<double>()};

} // namespace exitwave::EXITWAVE_LEVEL
