# Invitations in British English. Every language has the same names; a test compares them.

subject = { $title }
subject-updated = Updated: { $title }
subject-cancelled = Cancelled: { $title }

invites = { $host } invites you to: { $title }
cancelled = { $host } cancelled: { $title }
nothing-to-do = The numbers in earlier invitations to it no longer lead there. You need not do anything.

when-one-day = { $date }, { $from } to { $to } ({ $zone })
when-two-days = { $date }, { $from } to { $date-to }, { $to } ({ $zone })
date = { $weekday }, { $day } { $month } { $year }

join-by-phone = Join by phone
number = { $country }: { $number }
any-number = Call the number that your host gave you.
pin = PIN
code = One-time code
one-tap = One tap
one-tap-explained = Dials, and keys PIN and code for you
call-from = Call { $number }

# The plain sentence on remembering.
remembered = When you call for the first time, key the PIN and then the one-time code. Your phone number is then remembered: the next time you call from it, you go straight in.
forget = Your phone should not be remembered? Press *9 during the call and it is forgotten at once.
not-remembered = When you are asked, key the PIN. Your phone is not remembered by this meeting.
keep-private = Keep this invitation to yourself: whoever has these numbers can join.

repeats-days = { $interval ->
    [1] Repeats every day
   *[other] Repeats every { $interval } days
}
repeats-weeks = { $interval ->
    [1] Repeats every week
   *[other] Repeats every { $interval } weeks
}
repeats-months = { $interval ->
    [1] Repeats every month
   *[other] Repeats every { $interval } months
}
repeats-years = { $interval ->
    [1] Repeats every year
   *[other] Repeats every { $interval } years
}
on-weekdays = { $rule } on { $days }
on-nth = { $rule } on the { $nth ->
    [1] first
    [2] second
    [3] third
    [4] fourth
    [5] fifth
    [-1] last
   *[other] last but { $nth }
 } { $day }
on-calendar = { $rule }, on the days in the calendar entry
ends-after = { $rule }, { $count ->
    [one] once
   *[other] { $count } times
 } in all.
ends-until = { $rule }, until { $date }.
ends-never = { $rule }.
same-code = The same PIN and code are good each time.

# What the host is told of phones that go straight in.
notice-remembered-subject = A new phone is remembered
notice-remembered = The phone { $number } proved the PIN and the one-time code of "{ $title }" on { $date }, { $time } ({ $zone }). It is remembered: from now on it goes straight in.
notice-remembered-undo = You do not know it? Take it off the list of your verified numbers, and give the meeting a new code.
notice-without-code-subject = A phone came in without the code
notice-without-code = The phone { $number } came in to "{ $title }" on { $date }, { $time } ({ $zone }) without its one-time code, because it is remembered.
notice-without-code-undo = It should not have? Remove and forget it. Or have remembered phones asked for the code: "known_callers" of the meeting or of your account.
notice-why = You are told by mail because "notice_mail" of your account is on.

list = { $before }, { $item }
list-end = { $before } and { $item }

weekday-1 = Monday
weekday-2 = Tuesday
weekday-3 = Wednesday
weekday-4 = Thursday
weekday-5 = Friday
weekday-6 = Saturday
weekday-7 = Sunday
month-1 = January
month-2 = February
month-3 = March
month-4 = April
month-5 = May
month-6 = June
month-7 = July
month-8 = August
month-9 = September
month-10 = October
month-11 = November
month-12 = December

country-AT = Austria
country-AU = Australia
country-BE = Belgium
country-BR = Brazil
country-CA = Canada
country-CH = Switzerland
country-CN = China
country-CZ = Czechia
country-DE = Germany
country-DK = Denmark
country-ES = Spain
country-FI = Finland
country-FR = France
country-GB = United Kingdom
country-GR = Greece
country-HK = Hong Kong
country-HU = Hungary
country-IE = Ireland
country-IL = Israel
country-IN = India
country-IT = Italy
country-JP = Japan
country-KR = South Korea
country-LU = Luxembourg
country-MX = Mexico
country-NL = Netherlands
country-NO = Norway
country-NZ = New Zealand
country-PL = Poland
country-PT = Portugal
country-RO = Romania
country-SE = Sweden
country-SG = Singapore
country-TR = Turkey
country-UA = Ukraine
country-US = United States
country-ZA = South Africa
