"""What crawlers ask for before anything else."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from server.dependencies import ReadSession, Settings, Tracks
from server.syndication.cacheable import cacheable
from server.syndication.sitemap import sitemap_index, submissions_sitemap, tracks_sitemap

router = APIRouter(include_in_schema=False)

XML = "application/xml"
MAX_AGE_SECONDS = 3600
ROBOTS = """\
# Programs that show a preview beside a link that somebody posted.
User-agent: Twitterbot
User-agent: facebookexternalhit
User-agent: LinkedInBot
Disallow: /api/

# Any two submissions can be compared: there is no end to those pages.
User-agent: *
Disallow: /api/
Disallow: /compare?
Disallow: /sign-in
Disallow: /submit

Sitemap: {base_url}/sitemap.xml
"""


@router.get("/robots.txt")
def get_robots(request: Request, settings: Settings) -> Response:
    """What crawlers should leave alone, and where the sitemap is."""
    text = ROBOTS.format(base_url=settings.base_url)
    return cacheable(request, text.encode(), "text/plain", MAX_AGE_SECONDS)


@router.get("/sitemap.xml")
def get_sitemap_index(
    request: Request, session: ReadSession, tracks: Tracks, settings: Settings
) -> Response:
    """The index of all sitemaps."""
    index = sitemap_index(session, tracks.keys(), settings.base_url)
    return cacheable(request, index, XML, MAX_AGE_SECONDS)


@router.get("/sitemaps/tracks.xml")
def get_tracks_sitemap(request: Request, tracks: Tracks, settings: Settings) -> Response:
    """The front page and every board."""
    sitemap = tracks_sitemap(tracks, settings.base_url)
    return cacheable(request, sitemap, XML, MAX_AGE_SECONDS)


@router.get("/sitemaps/submissions-{number}.xml")
def get_submissions_sitemap(
    number: int, request: Request, session: ReadSession, tracks: Tracks, settings: Settings
) -> Response:
    """Up to 50,000 submissions."""
    sitemap = submissions_sitemap(session, tracks.keys(), settings.base_url, number)
    return cacheable(request, sitemap, XML, MAX_AGE_SECONDS)
